// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"o7gw/integration/lab"
	"o7gw/o7s"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/node"
)

func signalContext() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM)
}

// embedded makes a node in this process with a udp layer; name is reached at
// the peer, if that is valid.
func embedded(ctx context.Context, own, peer netip.Addr, name string) (*node.Node, error) {
	n, err := node.New(ctx, node.Config{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return nil, err
	}
	kind := ipcp.UDP4
	if own.Is6() {
		kind = ipcp.UDP6
	}
	cfg := ipcp.Config{Type: kind, Layer: "net", UDP: ipcp.UDPConfig{Addr: own}}
	if peer.IsValid() {
		cfg.UDP.Hosts = map[string][]netip.Addr{name: {peer}}
	}
	id, err := n.IRM().CreateIPCP(kind, "udp")
	if err == nil {
		err = n.IRM().Bootstrap(ctx, id, cfg)
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// embeddedServer is a program with a node of its own that echoes every packet
// on every flow to a name. Arguments: own address, name.
func embeddedServer(ctx context.Context, args []string) error {
	n, err := embedded(ctx, netip.MustParseAddr(args[0]), netip.Addr{}, "")
	if err != nil {
		return err
	}
	defer n.Close()
	l, err := n.Stack().Listen(ctx, args[1])
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println("listening")
	var flows sync.WaitGroup
	defer flows.Wait()
	for {
		flow, err := l.AcceptFlow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		flows.Go(func() {
			defer flow.Close()
			defer context.AfterFunc(ctx, func() { flow.Close() })()
			buf := make([]byte, flow.MTU())
			for {
				n, _, err := flow.ReadPacket(buf)
				if err != nil {
					return
				}
				if err := flow.WritePacket(buf[:n]); err != nil {
					return
				}
			}
		})
	}
}

// embeddedClient is a program with a node of its own that sends packets of
// all sizes to a name and compares what comes back. Arguments: own address,
// address of the server, name, number of packets.
func embeddedClient(ctx context.Context, args []string) error {
	count, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	n, err := embedded(ctx, netip.MustParseAddr(args[0]), netip.MustParseAddr(args[1]), args[2])
	if err != nil {
		return err
	}
	defer n.Close()
	flow, err := n.Stack().Dial(ctx, args[2])
	if err != nil {
		return err
	}
	defer flow.Close()
	if err := echoes(flow, count); err != nil {
		return err
	}
	fmt.Println("all came back")
	return nil
}

// echoes sends packets of sizes from 1 byte to the MTU, one after the other,
// and expects each back.
func echoes(flow *o7s.Flow, count int) error {
	buf := make([]byte, flow.MTU())
	out := make([]byte, flow.MTU())
	for i := range count {
		size := 1 + i*(len(out)-1)/max(1, count-1)
		for j := range out[:size] {
			out[j] = byte(i + j)
		}
		if err := flow.WritePacket(out[:size]); err != nil {
			return fmt.Errorf("packet %d of %d bytes: %w", i, size, err)
		}
		flow.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, truncated, err := flow.ReadPacket(buf)
		if err != nil {
			return fmt.Errorf("echo of packet %d of %d bytes: %w", i, size, err)
		}
		if truncated || !bytes.Equal(buf[:n], out[:size]) {
			return fmt.Errorf("packet %d of %d bytes came back as other %d bytes", i, size, n)
		}
	}
	if err := flow.WritePacket(make([]byte, flow.MTU()+1)); err == nil {
		return errors.New("a packet above the MTU was taken")
	}
	return nil
}

// role starts a role on host i.
func (w *world) role(i int, until, role string, args ...string) *lab.Proc {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role, "O7S_RUN_DIR="+w.dirs[i])
	p, err := w.hosts[i].Start(cmd)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.WaitFor(w.ctx, until); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func TestEmbeddedNodes(t *testing.T) {
	for name, ip := range map[string]func(link, end int) netip.Addr{"udp4": addr4, "udp6": addr6} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 30*time.Second, 2)
			server := w.role(1, "listening", "embedded-server", ip(0, 2).String(), "echo")
			client := w.role(0, "all came back", "embedded-client", ip(0, 1).String(), ip(0, 2).String(), "echo", "500")
			w.within(10*time.Second, client)
			if err := server.Stop(w.ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// A node in a program and a daemon are members of one layer.
func TestEmbeddedNodeWithDaemon(t *testing.T) {
	w := newWorld(t, 30*time.Second, 2)
	w.daemon(0, lab.UDPLayer{Name: "udp", IP: addr4(0, 1), Serve: []string{"op"}, Hosts: map[string]netip.Addr{"oecho": addr4(0, 2)}})
	w.role(1, "listening", "embedded-server", addr4(0, 2).String(), "oecho")
	if out := w.mustRun(0, "oecho"); out != "Server replied with Client says hi!\n" {
		t.Errorf("oecho printed %q", out)
	}
}
