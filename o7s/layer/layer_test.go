// SPDX-License-Identifier: BSD-3-Clause

package layer

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"o7gw/o7s/packet"
)

// Vectors of spec 10 §1.3.
func TestHashVectors(t *testing.T) {
	x200 := strings.Repeat("x", 200)
	for _, v := range []struct {
		algo HashAlgo
		name string
		want string
	}{
		{SHA3_256, "", "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"},
		{MD5, "", "d41d8cd98f00b204e9800998ecf8427e"},
		{SHA3_256, "123456789", "87cd084d190e436f147322b90e7384f6a8e0676c99d21ef519ea718e51d45f9c"},
		{SHA3_224, "oping", "e098ae7fb0190561dffca699eccb4dcf605f900ee2fe18c71b5efee7"},
		{SHA3_256, "oping", "42dee3b0415b4f690fd91cbd99876f1e9bd8d9745ef7fa32b142773af0349d54"},
		{SHA3_384, "oping", "f4bc2e52efd45603cca0ec4354a721c800d6249f1605b709ed4c8a173345ffb0a0813ce0e5bb1c2671c6490481bfaee0"},
		{SHA3_512, "oping", "154543ae811fc58c39527179b48c4c2cf0ba817b3d785a49e878584514eeeffd19e861cbcd22d07488f1c713ae63e697eaa3b3ddfc43cb2078b0f9e1ed42511f"},
		{MD5, "oping", "7862c6fec5ecaef4aa2e3934725e23b3"},
		{SHA3_256, "test", "36f028580bb02cc8272a9a020f4200e346e276ae664e45ee80745574e2f5ab80"},
		{MD5, "test", "098f6bcd4621d373cade4e832627b4f6"},
		{SHA3_256, "broadcast.layer", "7d208074f0ead8ab485ffa2d6a51b1613a3d607e744dc029c2292320607aa7dc"},
		{SHA3_256, x200, "9dcc53f665ce704a221fcd3e25e53e88b5a41e8ab3deeeab8a5f2602e0316896"},
		{MD5, x200, "30a83621ce5422fbdfdd539777458c78"},
	} {
		if got := v.algo.Sum(v.name); got.Hex() != v.want || len(got) != v.algo.Size() {
			t.Errorf("%v(%q) = %s", v.algo, v.name, got.Hex())
		}
	}
}

func TestParseHashAlgo(t *testing.T) {
	for a := SHA3_224; a <= SHA3_512; a++ {
		if got, err := ParseHashAlgo(a.String()); err != nil || got != a {
			t.Errorf("%v: %v, %v", a, got, err)
		}
	}
	if _, err := ParseHashAlgo("MD5"); err == nil {
		t.Error("MD5 is not for users to choose")
	}
}

func TestErrno(t *testing.T) {
	var err error = ErrNoName
	if err.Error() != "no such name (-1007)" || !errors.Is(err, ErrNoName) {
		t.Errorf("got %v", err)
	}
	if !strings.HasSuffix(ErrTimedOut.Error(), "(-110)") || !ErrTimedOut.Timeout() {
		t.Errorf("got %v", ErrTimedOut)
	}
}

type recorder struct {
	mu     sync.Mutex
	got    []byte
	closed chan struct{}
}

func (r *recorder) Packets(pkts []*packet.Buffer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range pkts {
		r.got = append(r.got, p.Bytes()...)
	}
	packet.ReleaseBatch(pkts)
}

func (r *recorder) Event(e Event) {
	if e == Closed {
		close(r.closed)
	}
}

func one(s string) []*packet.Buffer {
	b := packet.Get(len(s))
	b.Append([]byte(s))
	return []*packet.Buffer{b}
}

func TestPipeKeepsEarlyPacketsAndOrder(t *testing.T) {
	a, b := Pipe()
	a.Send(one("1"))
	a.Send(one("2"))
	r := &recorder{closed: make(chan struct{})}
	b.Receive(r)
	a.Send(one("3"))
	if string(r.got) != "123" {
		t.Fatalf("got %q", r.got)
	}
	a.Close()
	<-r.closed
	b.Send(one("late")) // nobody there: dropped, not lost in a panic
	b.Close()
}

func TestPipeKeepsLimitedMemory(t *testing.T) {
	a, b := Pipe()
	for range inboxEarly + 10 {
		a.Send(one("x"))
	}
	if d := b.(*pipeEnd).in.Dropped(); d != 10 {
		t.Fatalf("dropped %d, want 10", d)
	}
	a.Close()
	b.Close()
}

func TestPipeCloseBeforeReceive(t *testing.T) {
	a, b := Pipe()
	a.Close()
	r := &recorder{closed: make(chan struct{})}
	b.Receive(r)
	<-r.closed
}

// echo sends every packet back, as a server on the other end may.
type echo struct {
	port Port
	hops int
}

func (e *echo) Packets(pkts []*packet.Buffer) {
	if e.hops--; e.hops < 0 {
		packet.ReleaseBatch(pkts)
		e.port.Close()
		return
	}
	e.port.Send(pkts)
}

func (e *echo) Event(Event) {}

func TestPipeReceiversMaySendAndClose(t *testing.T) {
	a, b := Pipe()
	ea, eb := &echo{a, 1000}, &echo{b, 1000}
	a.Receive(ea)
	b.Receive(eb)
	a.Send(one("x"))
	if ea.hops > 0 && eb.hops > 0 {
		t.Fatalf("the packet stopped with %d and %d hops left", ea.hops, eb.hops)
	}
}

func TestPipeManySenders(t *testing.T) {
	a, b := Pipe()
	r := &recorder{closed: make(chan struct{})}
	b.Receive(r)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				a.Send(one("x"))
			}
		})
	}
	wg.Wait()
	a.Close()
	<-r.closed
	if len(r.got) != 800 {
		t.Fatalf("%d of 800 packets", len(r.got))
	}
}
