// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"io"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/packet"
)

// closesWithin makes b answer once and close within the same call of its receiver,
// and checks that the answer arrives all the same.
func closesWithin(t *testing.T, a, b *Flow) {
	t.Helper()
	s := newSink()
	closed := make(chan error, 1)
	s.do = func(pkts []*packet.Buffer) {
		if err := b.WriteBatch(pkts); err != nil {
			t.Error(err)
		}
		closed <- b.Close()
	}
	if err := b.Receive(s); err != nil {
		t.Fatal(err)
	}
	a.Write([]byte("x"))
	if n, err := a.Read(make([]byte, 10)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if err := b.Write([]byte("y")); err == nil {
		t.Error("a closed flow takes packets")
	}
	if _, err := a.Read(make([]byte, 10)); err != io.EOF {
		t.Error(err)
	}
	if len(s.got) != 1 {
		t.Errorf("the receiver was called after it had closed the flow: %q", s.got)
	}
}

// A receiver closes its flow, and what it wrote before arrives: what the peer
// has taken is told through the goroutine that called it.
func TestReceiverAnswersAndCloses(t *testing.T) {
	t.Run("port", func(t *testing.T) {
		onModes(t, modes[:2], func(t *testing.T, _ mode, a, b *Flow, _ *wire) {
			begin := time.Now()
			closesWithin(t, a, b)
			if d := time.Since(begin); d > 5*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	})
	t.Run("ring", func(t *testing.T) {
		as, bs := ringPairs(t, 2, modes[:2])
		for i := range as {
			closesWithin(t, as[i], bs[i])
		}
	})
}

// TestHostEndsWhatItAdopted: when the peer has gone silent, the Host's Close does not
// wait for as long as the flow's would have.
func TestHostEndsWhatItAdopted(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		dark := clean
		dark.darkFrom, dark.darkFor = time.Second, 24*time.Hour
		a, b, _, _, done := over(t, modes[0], dark, dark)
		defer done()
		s := newSink()
		closed := make(chan struct{})
		s.do = func(pkts []*packet.Buffer) {
			packet.ReleaseBatch(pkts)
			time.Sleep(2 * time.Second) // until nothing gets through
			b.Write([]byte("lost"))
			b.Close()
			close(closed)
		}
		if err := b.Receive(s); err != nil {
			t.Fatal(err)
		}
		a.Write([]byte("x"))
		<-closed
		begin := time.Now()
		b.host.Close()
		if d := time.Since(begin); d != orphanTime {
			t.Errorf("closing the Host took %v, want %v", d, orphanTime)
		}
		a.SetLinger(0)
	})
}
