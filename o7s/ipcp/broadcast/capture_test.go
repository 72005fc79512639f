// SPDX-License-Identifier: BSD-3-Clause

package broadcast_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/capture"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// recorded returns what bc-eth1.pcap holds: host B enrolled with A and connected
// to it; then messages of A, of B and, passed on by B, of C.
func recorded(t *testing.T) (enrollment, data *capture.Flow) {
	t.Helper()
	flows, err := capture.Load("bc-eth1.pcap")
	if err != nil {
		t.Fatal(err)
	}
	if len(flows) != 2 || flows[0].Kind != capture.Enrollment || flows[1].Kind != capture.DataTransfer {
		t.Fatalf("flows %+v", flows)
	}
	return flows[0], flows[1]
}

// The CEP messages decode, to what this package says itself, and encode to the
// same bytes.
func TestCaptureMessages(t *testing.T) {
	enrollment, data := recorded(t)
	for _, f := range []*capture.Flow{enrollment, data} {
		if f.Name != layer.SHA3_256.Sum("bc.a") {
			t.Errorf("%v flow to %s", f.Kind, f.Name.Hex())
		}
		want := cep.Info{Component: cep.DataTransfer}
		if f == enrollment {
			want = cep.Info{Component: cep.Enrollment, Protocol: "OEP", Version: 1}
		}
		q, r := f.CEP()
		for _, b := range [][]byte{q, r} {
			i, err := cep.Parse(b)
			if err != nil || i != want || !bytes.Equal(i.Append(nil), b) {
				t.Errorf("%x decodes to %+v, %v", b, i, err)
			}
		}
	}
	for i, p := range data.Payload() {
		if want := "hello from " + string("ABC"[i]) + "\x00"; string(p.Data) != want || p.FromRequester != (i > 0) {
			t.Errorf("message %d: %q, from B %v", i, p.Data, p.FromRequester)
		}
	}
}

// fields takes a protobuf message apart; nested ones stay bytes.
func fields(t *testing.T, b []byte) map[protowire.Number]string {
	t.Helper()
	m := map[protowire.Number]string{}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatalf("message %x", b)
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			t.Fatalf("message %x", b)
		}
		m[num] += string(b[n : n+size])
		b = b[n+size:]
	}
	return m
}

// TestCaptureReplayEnrollee plays host B against our member: its answers are those that
// the C member gave, but for the time.
func TestCaptureReplayEnrollee(t *testing.T) {
	enrollment, data := recorded(t)
	b := newBelow()
	p, _ := first(t, b, "bc")
	app := application(t, p)

	f := b.request(t, qos.Raw)
	for _, rec := range enrollment.Packets {
		if rec.FromRequester {
			f.send(rec.Data)
			continue
		}
		got := f.next()
		if rec.Data[1] == 8 { // the response
			const seconds, nanoseconds = 2, 3
			g, w := fields(t, got), fields(t, rec.Data)
			for _, m := range []map[protowire.Number]string{g, w} {
				if len(m[seconds]) == 0 || len(m[nanoseconds]) == 0 {
					t.Error("no time")
				}
				delete(m, seconds)
				delete(m, nanoseconds)
			}
			if !maps.Equal(g, w) {
				t.Errorf("response %q, C: %q", g, w)
			}
		} else if !bytes.Equal(got, rec.Data) {
			t.Errorf("answer %x, C: %x", got, rec.Data)
		}
	}
	f.end() // our member closes after the acknowledgement

	f = b.request(t, qos.Raw)
	f.send(data.Packets[0].Data)
	if got := f.next(); !bytes.Equal(got, data.Packets[1].Data) {
		t.Errorf("answer %x, C: %x", got, data.Packets[1].Data)
	}
	awaitForward(t, f, app)
	for _, rec := range data.Payload() {
		from, to := app, f
		if rec.FromRequester {
			from, to = f, app
		}
		from.send(rec.Data)
		if got := to.next(); !bytes.Equal(got, rec.Data) {
			t.Errorf("message %q, recorded %q", got, rec.Data)
		}
	}
}

// awaitForward returns when the connection is that of a neighbour: what one sends
// comes to the other.
func awaitForward(t *testing.T, from, to *peer) {
	t.Helper()
	from.send([]byte("ready"))
	if got := string(to.next()); got != "ready" {
		t.Fatalf("got %q", got)
	}
}

// TestCaptureReplayMember plays host A against ours, which enrols and connects as B did, and a
// prototype C behind it.
func TestCaptureReplayMember(t *testing.T) {
	enrollment, data := recorded(t)
	b := newBelow()
	p, tree := newIPCP(t, b)
	done := make(chan error)
	go func() { done <- p.Enroll(t.Context(), "bc.a") }()
	f := b.next(t)
	if f.flow.name != "bc.a" || f.flow.qs != qos.Raw {
		t.Errorf("flow to %q with %v", f.flow.name, f.flow.qs)
	}
	var id []byte
	for _, rec := range enrollment.Packets {
		if !rec.FromRequester {
			// The C member answers with the id of the request.
			answer := slices.Clone(rec.Data)
			if id != nil {
				copy(answer[2:], id)
			}
			f.send(answer)
			continue
		}
		got := f.next()
		if rec.Data[1] == 8 { // request and acknowledgement begin with the id
			if id == nil {
				id = slices.Clone(got[2:10])
			}
			want := slices.Clone(rec.Data)
			copy(want[2:], id)
			if !bytes.Equal(got, want) {
				t.Errorf("%x, C: %x", got, want)
			}
			continue
		}
		announced(t, got, rec.Data)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	f.end()
	if i := p.Info(); i.Layer != "bc" || i.Hash != layer.SHA3_256 {
		t.Errorf("%+v", i)
	}

	go func() { done <- p.Connect(t.Context(), "bc.a", cep.DataTransfer, qos.Raw) }()
	a := b.next(t)
	announced(t, a.next(), data.Packets[0].Data)
	a.send(data.Packets[1].Data)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	app, c := application(t, p), prototype(t, b)
	awaitNeighbours(t, tree, 3)
	all := []*peer{a, app, c}
	for i, rec := range data.Payload() { // of A, B and C
		all[i].send(rec.Data)
		for j, to := range all {
			if j == i {
				continue
			}
			if got := to.next(); !bytes.Equal(got, rec.Data) {
				t.Errorf("message %q, recorded %q", got, rec.Data)
			}
		}
	}
	for i, to := range all {
		if n := len(to.got); n != 0 {
			t.Errorf("%d got %d packets more", i, n)
		}
	}
}

// A member of a unicast layer, recorded, does not make this a member.
func TestCaptureOtherType(t *testing.T) {
	flows, err := capture.Load("uni-dix.pcap")
	if err != nil {
		t.Fatal(err)
	}
	b := newBelow()
	p, _ := newIPCP(t, b)
	done := make(chan error)
	go func() { done <- p.Enroll(t.Context(), "net") }()
	f := b.next(t)
	f.next()
	answers := slices.DeleteFunc(slices.Clone(flows[0].Packets), func(rec capture.Packet) bool { return rec.FromRequester })
	f.send(answers[0].Data)
	response := slices.Clone(answers[1].Data)
	copy(response[2:10], f.next()[2:10])
	f.send(response)
	if err := <-done; !errors.Is(err, layer.ErrIPCPType) || p.State() != ipcp.Boot {
		t.Errorf("%v; state %v", err, p.State())
	}
	f.end()
	if n := len(f.got); n != 0 {
		t.Errorf("%d packets more, an acknowledgement?", n)
	}
}

// announced checks a CEP message of ours: as that of C, and our capabilities
// behind it.
func announced(t *testing.T, got, prototype []byte) {
	t.Helper()
	if !bytes.HasPrefix(got, prototype) || len(got) > cep.MaxMessage {
		t.Errorf("CEP message %x, C: %x", got, prototype)
	}
	if i, err := cep.Parse(got); err != nil || !i.Ours {
		t.Errorf("CEP message %x: %+v, %v", got, i, err)
	}
}
