// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"o7gw/o7s/ipcp/capture"
)

// recording is an FRCT flow between two prototypes.
type recording struct {
	name     string
	reliable bool
	client   map[Flags]int // packets by flags, spec index note 6, with retransmissions
	server   map[Flags]int
}

var recordings = []recording{
	{"eth-dix-data", true, map[Flags]int{0x03: 1, 0x0f: 19, 0x0c: 15, 0x04: 1}, map[Flags]int{0x0f: 16, 0x0d: 4}},
	{"eth-dix-best", false, map[Flags]int{0x03: 1, 0x0b: 19, 0x04: 1, 0x0c: 1}, map[Flags]int{0x0b: 20, 0x0c: 1}},
	{"eth-dix-voice", false, map[Flags]int{0x03: 1, 0x0b: 4, 0x04: 1, 0x0c: 1}, map[Flags]int{0x0b: 5, 0x0c: 1}},
	{"uni-dix-data", true, map[Flags]int{0x03: 1, 0x0f: 9, 0x0c: 5, 0x04: 1}, map[Flags]int{0x0f: 9 + 4, 0x0d: 1}},
	{"eth-dix-data-loss5", true, map[Flags]int{0x03: 1, 0x0f: 4, 0x0d: 55 + 70, 0x0c: 78}, map[Flags]int{0x0f: 5, 0x0d: 55 + 84, 0x0c: 69}},
	{"eth-dix-best-loss5", false, map[Flags]int{0x03: 1, 0x0b: 57, 0x04: 1}, map[Flags]int{0x0b: 58, 0x0c: 1}},
}

// load returns the FRCT packets of a recording.
func (r *recording) load(t *testing.T) (pkts []capture.Packet) {
	t.Helper()
	if r.name == "uni-dix-data" {
		flows, err := capture.Load(r.name + ".pcap")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range flows {
			var client uint64 // the endpoint that the server sends to
			for _, p := range f.PDUs() {
				if p.EID < 64 {
					continue
				}
				if client == 0 { // the client speaks first
					client = ^p.EID
				}
				p.Packet.FromRequester = p.EID == ^client
				p.Packet.Data = p.Payload
				pkts = append(pkts, p.Packet)
			}
		}
		return pkts
	}
	b, err := os.ReadFile("testdata/" + r.name + ".pcap")
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	var frames []capture.Frame
	for b = b[24:]; len(b) >= 16; {
		n := le.Uint32(b[8:])
		at := time.Unix(int64(le.Uint32(b)), int64(le.Uint32(b[4:]))*1000)
		frames = append(frames, capture.Frame{Time: at, Data: b[16 : 16+n]})
		b = b[16+n:]
	}
	for _, f := range capture.Flows(frames) {
		pkts = append(pkts, f.Packets...)
	}
	return pkts
}

func TestCaptureHeaders(t *testing.T) {
	for _, r := range recordings {
		got := [2]map[Flags]int{{}, {}}
		for i, p := range r.load(t) {
			h, n, err := ParseHeader(p.Data)
			if err != nil {
				t.Fatalf("%s, packet %d: %v", r.name, i, err)
			}
			if h.Flags&DATA == 0 && len(p.Data) != n {
				t.Errorf("%s, packet %d: control packet of %d bytes", r.name, i, len(p.Data))
			}
			var out [HeaderLen]byte
			h.Put(out[:])
			if !bytes.Equal(out[:], p.Data[:n]) {
				t.Errorf("%s, packet %d: %x encodes to %x", r.name, i, p.Data[:n], out)
			}
			side := 1
			if p.FromRequester {
				side = 0
			}
			got[side][h.Flags]++
		}
		if fmt.Sprint(got) != fmt.Sprint([2]map[Flags]int{r.client, r.server}) {
			t.Errorf("%s: flags %v, want %v %v", r.name, got, r.client, r.server)
		}
	}
}

// TestCaptureReplay puts an Endpoint in the place of either prototype: the other goes
// on as recorded, and the application writes when the recorded one did.
func TestCaptureReplay(t *testing.T) {
	for _, r := range recordings {
		for _, asClient := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/client=%v", r.name, asClient), func(t *testing.T) {
				r.replay(t, asClient)
			})
		}
	}
}

func (r *recording) replay(t *testing.T, asClient bool) {
	pkts := r.load(t)
	var e *Endpoint
	seen := map[uint32]bool{} // numbers of the other side
	mine := map[uint32]bool{}
	var sent, got []string
	type numbered struct {
		seq     uint32
		payload string
	}
	var expect []numbered
	for _, p := range pkts { // it begins with the number of the one it replaces
		if h, _, _ := ParseHeader(p.Data); p.FromRequester == asClient && h.Flags&DATA != 0 {
			e = New(Config{Reliable: r.reliable, Initial: h.Seq, MPL: 100 * time.Millisecond})
			break
		}
	}
	begin := pkts[0].Time
	var now time.Duration
	highest := uint32(0)
	for i, p := range pkts {
		at := p.Time.Sub(begin) + time.Hour
		for {
			d, set := e.Deadline()
			if !set || d > at {
				break
			}
			now = max(now, d)
			e.Tick(now)
			drainAll(now, e)
		}
		now = at
		h, n, _ := ParseHeader(p.Data)
		payload := string(p.Data[n:])
		if p.FromRequester == asClient {
			if h.Flags&DATA != 0 && !mine[h.Seq] {
				mine[h.Seq] = true
				want(t, write(e, now, payload), 1)
				sent = append(sent, payload)
			}
		} else {
			if h.Flags&DATA != 0 && !seen[h.Seq] {
				seen[h.Seq] = true
				late := len(seen) > 1 && before(h.Seq, highest)
				if r.reliable || !late {
					expect = append(expect, numbered{h.Seq, payload})
				}
				if !late {
					highest = h.Seq
				}
			}
			receive(e, now, buffer(p.Data))
			got = append(got, texts(e, now)...)
		}
		for _, b := range drainAll(now, e) {
			o, _, err := ParseHeader(b.Bytes())
			if err != nil || o.Flags&ACK != 0 && before(highest+1, o.Ack) {
				t.Fatalf("packet %d: %+v", i, o)
			}
		}
	}
	slices.SortStableFunc(expect, func(a, b numbered) int { return int(int32(a.seq - b.seq)) })
	if len(got) != len(expect) {
		t.Fatalf("read %d packets, %d came", len(got), len(expect))
	}
	for i := range got {
		if got[i] != expect[i].payload {
			t.Fatalf("packet %d of %d read out of order", i, len(got))
		}
	}
	st := e.Stats()
	if len(sent) == 0 || st.Malformed+st.Outside != 0 || e.Err() != nil {
		t.Errorf("%d written, %+v, %v", len(sent), st, e.Err())
	}
	if r.reliable && !e.Flushed() && e.snd.next-e.snd.una > 2 { // the capture may end before the last acknowledgement
		t.Errorf("%d packets are not acknowledged", e.snd.next-e.snd.una)
	}
	t.Logf("wrote %d, read %d, sent again %d", len(sent), len(got), st.Retransmitted)
}
