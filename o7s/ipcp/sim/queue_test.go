// SPDX-License-Identifier: BSD-3-Clause

package sim

import (
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// marked is pkt with a mark.
func marked(s string, cube uint8) []*packet.Buffer {
	p := pkt(s)
	p[0].SetCube(cube)
	return p
}

// What waits for the rate goes by priority; what is being sent goes first.
// Queued tells what is in front of the next packet.
func TestPriorityOfMarks(t *testing.T) {
	inBubble(t, 31, func(t *testing.T, n *Network) {
		a, b, l := n.Pair(Params{Rate: 8000}) // a byte each millisecond
		r := listen(b)
		queued := func(want int) {
			t.Helper()
			if got := a.(layer.Queuer).Queued(); got != want {
				t.Errorf("%d packets wait, want %d", got, want)
			}
		}
		a.Send(pkt("1"))
		queued(0) // it is being sent
		a.Send(pkt("2"))
		a.Send(marked("video", 1))
		a.Send(marked("voice", 2))
		a.Send(marked("?", 3))
		queued(4)
		time.Sleep(1500 * time.Microsecond)
		queued(3)
		a.Send(marked("VOICE", 2))
		l.Set(Params{}) // what comes now still waits behind it
		a.Send(pkt("3"))
		settle()
		queued(0)
		if r.String() != "1 voice VOICE video 2 ? 3" {
			t.Errorf("got %v", r)
		}
	})
}

// The cube of a flow is that of its QoS.
func TestPriorityOfFlows(t *testing.T) {
	inBubble(t, 32, func(t *testing.T, n *Network) {
		l := n.NewLink(Params{})
		var acc acceptor
		client, server := member(t, l, nil), member(t, l, acc.FlowRequested)
		register(t, server)
		var ends []layer.Port
		for _, qs := range []qos.Spec{qos.Raw, qos.Voice} {
			p, _, err := client.Allocate(t.Context(), name, qs, nil)
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, p)
		}
		data, voice := listen(acc.ports[0]), listen(acc.ports[1])
		l.Set(Params{Rate: 8000})
		for range 3 {
			ends[0].Send(pkt("x"))
			ends[1].Send(pkt("x"))
		}
		if d, v := ends[0].(layer.Queuer).Queued(), ends[1].(layer.Queuer).Queued(); d != 5 || v != 3 {
			t.Errorf("%d and %d packets wait", d, v)
		}
		settle()
		if last := voice.at[2]; data.at[0] > voice.at[0] || data.at[1] < last || len(data.at) != 3 {
			t.Errorf("data at %v, voice at %v", data.at, voice.at)
		}
	})
}

// Each cube has room of its own.
func TestQueueOfEachCube(t *testing.T) {
	inBubble(t, 33, func(t *testing.T, n *Network) {
		a, b, l := n.Pair(Params{Rate: 8000, Queue: 20})
		r := listen(b)
		for range 10 {
			a.Send(pkt("01234567"))
		}
		for range 10 {
			a.Send(marked("voicevoi", 2))
		}
		settle()
		if s := l.Stats(); len(r.got) != 3 || s.Overflow != 17 || r.got[1] != "voicevoi" {
			t.Errorf("%+v, got %v", s, r)
		}
	})
}

// A network that ends gives back what waits.
func TestCloseWithQueue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := NewNetwork(34)
		a, _, _ := n.Pair(Params{Rate: 8})
		p := pkt("1")
		q := pkt("2")
		kept := q[0]
		a.Send(p)
		a.Send(q)
		n.Close()
		defer func() {
			if recover() == nil {
				t.Error("a packet was not released")
			}
		}()
		kept.Release()
	})
}
