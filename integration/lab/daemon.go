// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Daemon is an irmd on a host.
type Daemon struct {
	*Proc
	Dir string // its run directory
}

// StartDaemon starts the irmd at path with a configuration, and returns when
// it is ready. Its files go to dir, which is made.
func (h *Host) StartDaemon(ctx context.Context, path, dir, config string) (*Daemon, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "irmd.toml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "--run-dir", dir, "--config", file, "--security-dir", SecurityDir(dir), "--stdout")
	p, err := h.StartNotifying(ctx, cmd, filepath.Join(dir, "notify.sock"))
	if err != nil {
		return nil, err
	}
	return &Daemon{Proc: p, Dir: dir}, nil
}

// SecurityDir returns where a daemon with files in dir looks for keys and
// certificates.
func SecurityDir(dir string) string { return filepath.Join(dir, "security") }

// StartNotifying starts a program that tells systemd when it is ready, and
// waits for that. socket is a path for the socket of the notice.
func (h *Host) StartNotifying(ctx context.Context, cmd *exec.Cmd, socket string) (*Proc, error) {
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for readiness: %w", err)
	}
	defer os.Remove(socket)
	defer l.Close()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+socket)
	p, err := h.Start(cmd)
	if err != nil {
		return nil, err
	}
	wake := func() { l.SetReadDeadline(time.Unix(1, 0)) }
	defer context.AfterFunc(ctx, wake)()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-p.Done():
			wake()
		case <-over:
		}
	}()
	buf := make([]byte, 4096)
	for {
		n, err := l.Read(buf)
		switch {
		case err == nil && strings.Contains("\n"+string(buf[:n])+"\n", "\nREADY=1\n"):
			return p, nil
		case err == nil: // another notice
		default:
			p.Kill()
			return nil, fmt.Errorf("%s did not become ready: %w; it printed:\n%s", p.Name, errors.Join(ctx.Err(), p.err), p.Output())
		}
	}
}

// UDPLayer is the configuration of a udp4 or udp6 layer on one host, for
// StartDaemon.
type UDPLayer struct {
	Name  string                // of the IPC process, unique on the host
	Layer string                // "net" if empty
	IP    netip.Addr            // own address
	DNS   netip.Addr            // server that holds the names; invalid: none
	Serve []string              // names to register
	Hosts map[string]netip.Addr // names served elsewhere
}

// String returns the TOML table.
func (u UDPLayer) String() string {
	kind := "udp4"
	if u.IP.Is6() {
		kind = "udp6"
	}
	if u.Layer == "" {
		u.Layer = "net"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[%s.%q]\nbootstrap = %q\nip = %q\n", kind, u.Name, u.Layer, u.IP)
	if u.DNS.IsValid() {
		fmt.Fprintf(&b, "dns = %q\n", u.DNS)
	}
	if len(u.Serve) > 0 {
		fmt.Fprintf(&b, "reg = [\"%s\"]\n", strings.Join(u.Serve, `", "`))
	}
	if len(u.Hosts) > 0 {
		fmt.Fprintf(&b, "[%s.%q.hosts]\n", kind, u.Name)
		for name, ip := range u.Hosts {
			fmt.Fprintf(&b, "%q = %q\n", name, ip)
		}
	}
	return b.String()
}
