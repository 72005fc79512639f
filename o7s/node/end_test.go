// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/irm"
)

// stacks returns a client's and a server's way to two nodes in one udp4
// layer: the nodes' own, or through their control sockets.
func stacks(t *testing.T, attached bool) (client, server *o7s.Stack, nodes [2]*Node) {
	t.Helper()
	var ways [2]*o7s.Stack
	for i, own := range []string{"127.0.0.1", "127.0.0.2"} {
		var cfg Config
		if attached {
			dir, err := os.MkdirTemp("", "o7n")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			cfg.RunDir = dir
		}
		nodes[i] = start(t, cfg)
		bootstrap(t, nodes[i], own, "127.0.0.2", "svc")
		ways[i] = nodes[i].Stack()
		if attached {
			s, err := o7s.Connect(t.Context(), cfg.RunDir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			ways[i] = s
		}
	}
	return ways[0], ways[1], nodes
}

// TestNothingIsLostAtTheEnd: what was written before Close arrives, and then
// the end, whoever writes.
func TestNothingIsLostAtTheEnd(t *testing.T) {
	for _, attached := range []bool{false, true} {
		for _, fromServer := range []bool{false, true} {
			t.Run(fmt.Sprintf("attached %v, from the server %v", attached, fromServer), func(t *testing.T) {
				client, server, nodes := stacks(t, attached)
				l, err := server.Listen(t.Context(), "svc")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				served := make(chan error, 1)
				accept := func() {
					f, err := l.AcceptFlow(context.Background())
					if err == nil {
						err = oneEnd(f, fromServer)
					}
					served <- err
				}
				for round := range 5 {
					go accept()
					f, err := client.Dial(t.Context(), "svc")
					if err != nil {
						t.Fatal(err)
					}
					err = oneEnd(f, !fromServer)
					if err := errors.Join(err, <-served); err != nil {
						t.Fatalf("round %d: %v", round, err)
					}
				}
				for _, n := range nodes {
					noFlows(t, n.IRM())
				}
			})
		}
	}
}

const packets = 1000

// oneEnd writes all packets and closes at once, or reads them all, and the
// end.
func oneEnd(f *o7s.Flow, writes bool) error {
	defer f.Close()
	buf := make([]byte, 1000)
	if writes {
		for n := range packets {
			binary.BigEndian.PutUint32(buf, uint32(n))
			if err := f.WritePacket(buf); err != nil {
				return err
			}
		}
		return nil
	}
	f.SetReadDeadline(time.Now().Add(30 * time.Second))
	for n := range packets {
		k, _, err := f.ReadPacket(buf)
		if err != nil {
			return fmt.Errorf("packet %d: %w", n, err)
		}
		if got := binary.BigEndian.Uint32(buf); k != len(buf) || got != uint32(n) {
			return fmt.Errorf("packet %d: got %d of %d bytes", n, got, k)
		}
	}
	if _, _, err := f.ReadPacket(buf); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the last packet: %w", errors.Join(err, errors.New("want io.EOF")))
	}
	return nil
}

// noFlows waits until the IRM has none.
func noFlows(t *testing.T, i *irm.IRM) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); len(i.ListFlows()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("flows are left: %+v", i.ListFlows())
		}
	}
}
