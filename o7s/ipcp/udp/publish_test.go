// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"context"
	"errors"
	"testing"
	"time"

	"o7gw/o7s/layer"
)

// wanted reports whether an IPC process strives to have "op" in the DNS, and
// how many names it cares for.
func wanted(p *IPCP) (publish bool, names int) {
	p.published.mu.Lock()
	defer p.published.mu.Unlock()
	t := p.published.names[op]
	return t != nil && t.publish, len(p.published.names)
}

// A server that says nothing: who registers goes on soon, who changes his
// mind leaves nothing behind.
func TestSilentDNS(t *testing.T) {
	at, asked, _ := slowServer(t)
	p := startNamed(t, "127.0.0.3", at, noUpper)

	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- p.Register(ctx, op) }()
	<-asked
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) || p.names.Has(op) {
		t.Fatalf("cancelled registration: %v", err)
	}
	if publish, _ := wanted(p); publish {
		t.Fatal("cancelled registration goes on")
	}

	if err := p.Register(within(t, time.Millisecond), op); err != nil || !p.names.Has(op) {
		t.Fatalf("registration: %v", err)
	}
	if publish, n := wanted(p); !publish || n != 1 {
		t.Fatalf("registration does not go on; %d names", n)
	}
	if err := p.Unregister(within(t, time.Millisecond), op); err != nil || p.names.Has(op) {
		t.Fatalf("end of registration: %v", err)
	}
	if publish, n := wanted(p); publish || n != 1 {
		t.Fatalf("the record would not be removed; %d names", n)
	}
}

// Whoever changes his mind often gets what he wanted last.
func TestRegisterManyTimes(t *testing.T) {
	at, run := nameServer(t, "127.0.0.1", "127.0.0.0/8")
	run()
	p := startNamed(t, "127.0.0.2", at, noUpper)
	ctx := within(t, 20*time.Second)
	short, cancel := context.WithTimeout(ctx, time.Nanosecond)
	defer cancel()
	for range 50 {
		if err := errors.Join(p.Register(short, op), p.Unregister(short, op)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Register(ctx, op); err != nil {
		t.Fatal(err)
	}
	if got := inDNS(t, at); len(got) != 1 {
		t.Errorf("in DNS: %v", got)
	}
	if err := p.Unregister(ctx, op); err != nil {
		t.Fatal(err)
	}
	if got := inDNS(t, at); len(got) != 0 {
		t.Errorf("in DNS: %v", got)
	}
}

// Many names do not hold up the node, nor each other.
func TestRegisterManyNames(t *testing.T) {
	at, run := nameServer(t, "127.0.0.1", "127.0.0.0/8")
	p := startNamed(t, "127.0.0.2", at, noUpper)
	ctx := within(t, 20*time.Second)
	for i := range 100 {
		if err := p.Register(ctx, layer.MD5.Sum(string(rune('0'+i)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Register(ctx, op); err != nil {
		t.Fatal(err)
	}
	run()
	eventually(t, "record", func() bool { return len(inDNS(t, at)) == 1 })
	// Close removes what it can in a second, which need not be all.
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDelay(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: refreshEvery, 1: retryMin, 3: 4 * retryMin, 7: retryMax, 1000000: retryMax} {
		for range 100 {
			if d := delay(failures); d > want || d <= want*3/4-1 {
				t.Errorf("after %d failures: %v", failures, d)
			}
		}
	}
}
