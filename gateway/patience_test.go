// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"errors"
	"os"
	"testing"
	"time"

	"o7gw/o7s/flow"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
	"o7gw/o7s/ring"
)

// ringFlow is a flow on a ring as package o7s wraps it.
type ringFlow struct{ *flow.Flow }

func (f ringFlow) SetNonblock(on bool)                { f.Flow.SetNonblock(on, on) }
func (f ringFlow) SetWriteDeadline(t time.Time) error { f.Flow.SetWriteDeadline(t); return nil }
func (f ringFlow) Receive(r layer.Receiver)           { f.Flow.Receive(r) }

func TestPatience(t *testing.T) {
	ours, theirs, err := ring.New(ring.Config{Size: ring.MinSize})
	if err != nil {
		t.Fatal(err)
	}
	end, err := ring.Open(ours)
	if err != nil {
		t.Fatal(err)
	}
	daemon, err := ring.Open(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	host := flow.NewHost()
	defer host.Close()
	f, err := flow.New(&flow.Attachment{Ring: end, QoS: qos.Raw}, host)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &patient{limitedWriter: ringFlow{f}, limit: time.Millisecond}
	write := func() error {
		b := packet.Get(1400)
		b.Append(make([]byte, 1400))
		return p.WriteBatch([]*packet.Buffer{b})
	}
	const more = 2 * ring.MinSize / 1400 // packets than fit
	fill := func() (err error) {
		for n := 0; n < more && err == nil; n++ {
			err = write()
		}
		return err
	}
	drain := func() {
		for buf := make([]byte, 2000); ; {
			if _, _, err := daemon.Read(buf, ring.NoWait); err != nil {
				return
			}
		}
	}
	for range 2 {
		if err := fill(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("daemon does not read: %v, want the end of a wait", err)
		}
		if err := write(); !errors.Is(err, flow.ErrWouldBlock) {
			t.Fatalf("daemon still does not read: %v, want no wait", err)
		}
		drain()
		if err := write(); err != nil {
			t.Fatalf("daemon reads again: %v", err)
		}
	}

	// A daemon that is only late costs no packet.
	p.limit = time.Minute
	done := make(chan error, 1)
	go func() { done <- fill() }()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("daemon was late: %v", err)
			}
			return
		case <-time.After(time.Millisecond):
			drain()
		}
	}
}
