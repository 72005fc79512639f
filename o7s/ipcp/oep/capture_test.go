// SPDX-License-Identifier: BSD-3-Clause

package oep

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp/capture"
	"o7gw/o7s/ipcp/cep/lower"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/layer"
)

// exchange is a recorded enrolment of one C node by another.
type exchange struct {
	name                   string
	request, response, ack []byte
	answered               time.Time // when the response was on the wire
}

func recorded(t *testing.T) []exchange {
	t.Helper()
	var list []exchange
	for _, name := range capture.Names() {
		flows, err := capture.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range flows {
			if f.Kind != capture.Enrollment {
				continue
			}
			p := f.Payload()
			if len(p) != 3 || !p[0].FromRequester || p[1].FromRequester || !p[2].FromRequester {
				t.Fatalf("%s: %d messages of enrolment", name, len(p))
			}
			list = append(list, exchange{name, p[0].Data, p[1].Data, p[2].Data, p[1].Time})
		}
	}
	if len(list) != 7 {
		t.Fatalf("%d recorded enrolments, want 7", len(list))
	}
	return list
}

// peers are the addresses of the members in the recordings.
var peers = map[string]uint64{
	"line-eth1.pcap": 0x7ffbb871, "line-eth2.pcap": 0x574d5d29, "uni-dix-data.pcap": 0x137c01a8,
	"uni-dix-sha384-ecmp-nocc.pcap": 0x5ed9ffd8, "uni-dix.pcap": 0x1ea2b69e, "uni-udp4.pcap": 0x695292d9,
}

// expected returns what the recorded member handed out.
func expected(name string) Membership {
	if strings.HasPrefix(name, "bc-") {
		m := broadcastMembership()
		m.Config.Layer = "bc"
		return m
	}
	m := unicastMembership()
	m.Config.Layer, m.Peer = "net", peers[name]
	if strings.Contains(name, "sha384") {
		m.Config.Hash, m.Config.Unicast.MaxTTL = layer.SHA3_384, 16
		m.Config.Unicast.Routing, m.Config.Unicast.Congestion = "ecmp", "none"
	}
	return m
}

func TestCapture(t *testing.T) {
	for _, x := range recorded(t) {
		q, err := parseRequest(x.request)
		if err != nil || q.address != 0 {
			t.Errorf("%s: request %+v, %v", x.name, q, err)
		}
		r, err := parseResponse(x.response)
		if err != nil || r.result != 0 || r.taken || r.id != q.id {
			t.Fatalf("%s: response %+v, %v", x.name, r, err)
		}
		if want := expected(x.name); !same(*r.conf, want) {
			t.Errorf("%s: %+v, want %+v", x.name, *r.conf, want)
		}
		if d := x.answered.Sub(r.time); d < 0 || d > 5*time.Millisecond {
			t.Errorf("%s: the member's clock says %v, the capture %v", x.name, r.time, x.answered)
		}
		a, err := parseAck(x.ack)
		if err != nil || a != (ack{id: q.id}) {
			t.Errorf("%s: acknowledgement %+v, %v", x.name, a, err)
		}
		for _, m := range []struct{ got, want []byte }{{q.append(nil), x.request}, {r.append(nil), x.response}, {a.append(nil), x.ack}} {
			if !bytes.Equal(m.got, m.want) {
				t.Errorf("%s: % x became % x", x.name, m.want, m.got)
			}
		}
	}
}

// The recorded enrollee against our member: it gets the recorded response, byte
// for byte, and its acknowledgement ends the exchange.
func TestCaptureEnrollee(t *testing.T) {
	for _, x := range recorded(t) {
		bubble.Test(t, func(t *testing.T) {
			r, err := parseResponse(x.response)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, sim.Params{}, expected(x.name))
			w.member.Now = func() time.Time { return r.time }
			w.serve()
			s := w.asEnrollee()
			lower.Send(s, x.request)
			if got := s.heard(); len(got) != 1 || got[0] != string(x.response) {
				t.Fatalf("%s: response %x, recorded %x", x.name, got, x.response)
			}
			lower.Send(s, x.ack)
			synctest.Wait()
			if !s.Ended() || w.log.count(enrolledLine) != 1 || w.log.count("") != 1 {
				t.Errorf("%s: ended %v, log %q", x.name, s.Ended(), w.log.lines)
			}
		})
	}
}

// Our enrollee against the recorded member: it sends what the recorded one sent, byte
// for byte, and starts with the recorded configuration in between.
func TestCaptureMember(t *testing.T) {
	for _, x := range recorded(t) {
		bubble.Test(t, func(t *testing.T) {
			q, err := parseRequest(x.request)
			if err != nil {
				t.Fatal(err)
			}
			want := expected(x.name)
			w := newWorld(t, sim.Params{}, want)
			w.enrollee.Rand = bytes.NewReader(q.id[:])
			w.enrollee.Now = func() time.Time { return x.answered }
			there := w.asMember(prototype)
			result := make(chan error)
			var got Membership
			go func() {
				var err error
				got, err = w.enroll()
				result <- err
			}()
			s := <-there
			if sent := s.heard(); len(sent) != 1 || sent[0] != string(x.request) {
				t.Fatalf("%s: request %x, recorded %x", x.name, sent, x.request)
			}
			if len(w.started) != 0 {
				t.Errorf("%s: started before the response", x.name)
			}
			lower.Send(s, x.response)
			if err := <-result; err != nil || !same(got, want) || len(w.started) != 1 || !same(w.started[0], want) {
				t.Errorf("%s: %+v, %v; started %+v", x.name, got, err, w.started)
			}
			if sent := s.heard(); len(sent) != 2 || sent[1] != string(x.ack) || !s.Ended() {
				t.Errorf("%s: sent %x, recorded acknowledgement %x; ended %v", x.name, sent, x.ack, s.Ended())
			}
			if w.log.count("") != 0 {
				t.Errorf("%s: log %q", x.name, w.log.lines)
			}
		})
	}
}
