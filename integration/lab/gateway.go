// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tunnel is the configuration of one tunnel of a gateway, for StartGateway.
type Tunnel struct {
	Name      string // "vpn" if empty
	Device    string
	Listen    string // serve this name
	Connect   string // or connect to this one
	Plain     bool   // speak with ovpn
	Addresses []netip.Prefix
}

// String returns the TOML table.
func (t Tunnel) String() string {
	var b strings.Builder
	if t.Name == "" {
		t.Name = "vpn"
	}
	fmt.Fprintf(&b, "[[tunnel]]\nname = %q\ndevice = %q\n", t.Name, t.Device)
	if t.Listen != "" {
		fmt.Fprintf(&b, "listen = %q\n", t.Listen)
	} else {
		fmt.Fprintf(&b, "connect = %q\n", t.Connect)
	}
	if t.Plain {
		fmt.Fprintln(&b, `mode = "plain"`)
	}
	var addrs []string
	for _, a := range t.Addresses {
		addrs = append(addrs, fmt.Sprintf("%q", a))
	}
	fmt.Fprintf(&b, "address = [%s]\n", strings.Join(addrs, ", "))
	return b.String()
}

// StartGateway starts the o7gw at path with a configuration, and returns when
// it is ready. Its files go to dir, which is made.
func (h *Host) StartGateway(ctx context.Context, path, dir, config string) (*Proc, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "o7gw.toml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "up", "--config", file)
	cmd.Env = append(os.Environ(), "O7S_RUN_DIR="+dir)
	return h.StartNotifying(ctx, cmd, filepath.Join(dir, "notify.sock"))
}

// Reach waits until an address answers pings from the host.
func (h *Host) Reach(ctx context.Context, to netip.Addr) error {
	for {
		out, err := h.Run(ctx, "ping", "-n", "-c", "1", "-W", "0.2", to.String())
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%v does not answer host %s: %w\n%s", to, h.Name, err, out)
		}
	}
}
