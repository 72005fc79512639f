// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"io"
	"testing"
	"time"

	"o7gw/o7s/packet"
)

// A receiver answers and has the flow closed, and its answer arrives.
func TestReceiverAnswersAndCloses(t *testing.T) {
	onModes(t, modes[:2], func(t *testing.T, _ mode, a, b *Flow, _ *wire) {
		s := newSink()
		begin := time.Now()
		closed := make(chan error, 1)
		s.do = func(pkts []*packet.Buffer) {
			if err := b.WriteBatch(pkts); err != nil {
				t.Error(err)
			}
			go func() { closed <- b.Close() }() // it waits for packets, which come through here
		}
		if err := b.Receive(s); err != nil {
			t.Fatal(err)
		}
		a.Write([]byte("x"))
		if n, err := a.Read(make([]byte, 10)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if _, err := a.Read(make([]byte, 10)); err != io.EOF {
			t.Error(err)
		}
		if err := <-closed; err != nil || time.Since(begin) > 5*time.Second {
			t.Errorf("close: %v after %v", err, time.Since(begin))
		}
	})
}
