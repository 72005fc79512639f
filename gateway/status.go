// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"o7gw/gateway/report"
	"o7gw/gateway/tunnel"
	"o7gw/o7s"
)

// Status is the state of a gateway.
type Status = report.Report

// namesShown is how many names with addresses the status has.
const namesShown = 200

// Status returns the state of the gateway, tunnels in the order of the file.
func (g *Gateway) Status() Status {
	g.mu.Lock()
	s := Status{PID: os.Getpid(), Config: g.file.Filename, IRMd: g.file.IRMd, Started: g.started}
	objects := slices.Clone(g.objects)
	g.mu.Unlock()
	for _, r := range objects {
		switch o := r.object.(type) {
		case *tunnel.Tunnel:
			s.Tunnels = append(s.Tunnels, o.Status())
			continue
		case *nameService:
			for _, n := range o.pool.Names(namesShown) {
				s.Names = append(s.Names, report.Name{Name: n.Name, Addresses: slices.DeleteFunc([]netip.Addr{n.V4, n.V6}, func(a netip.Addr) bool { return !a.IsValid() })})
			}
		}
		s.Objects = append(s.Objects, r.report())
	}
	s.Complete()
	return s
}

// statusLimit bounds one exchange on the status socket: a client that does
// not read keeps nobody waiting for longer.
const statusLimit = 2 * time.Second

// StatusPath returns the path of the status socket in a run directory; empty:
// the default one.
func StatusPath(runDir string) string {
	if runDir == "" {
		runDir = o7s.DefaultRunDir()
	}
	return filepath.Join(runDir, "o7gw.sock")
}

// StatusServer answers on the status socket: whoever connects gets the Status
// as JSON, and nothing is read.
type StatusServer struct {
	g  *Gateway
	l  *net.UnixListener
	wg sync.WaitGroup
}

// ServeStatus opens the socket in the run directory of the configuration, for
// this user only. One gateway at a time can have it.
func (g *Gateway) ServeStatus() (*StatusServer, error) {
	path := StatusPath(g.file.RunDir)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("serve status: %w", err)
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("serve status: another o7gw answers on %s: set another run_dir", path)
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		os.Remove(path) // of one that died
	}
	old := syscall.Umask(0o177)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("serve status: %w", err)
	}
	s := &StatusServer{g: g, l: l}
	s.wg.Go(s.serve)
	return s, nil
}

func (s *StatusServer) serve() {
	for {
		c, err := s.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors, perhaps
			continue
		}
		c.SetDeadline(time.Now().Add(statusLimit))
		json.NewEncoder(c).Encode(s.g.Status())
		c.Close()
	}
}

// Close ends the server and removes the socket.
func (s *StatusServer) Close() error {
	err := s.l.Close()
	s.wg.Wait()
	return err
}

// FetchStatus asks the gateway that runs in the run directory.
func FetchStatus(ctx context.Context, runDir string) (Status, error) {
	var s Status
	path := StatusPath(runDir)
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return s, fmt.Errorf("no gateway answers on %s: %w", path, err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(statusLimit))
	if err := json.NewDecoder(c).Decode(&s); err != nil {
		return s, fmt.Errorf("read status from %s: %w", path, err)
	}
	return s, nil
}
