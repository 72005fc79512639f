// SPDX-License-Identifier: BSD-3-Clause

package oep

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
)

// unhex decodes hexadecimal with white space in it.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Vectors of spec 10 §7.2.
const (
	vectorRequest  = "0a 08 01 02 03 04 05 06 07 08"
	vectorAck      = "0a 08 01 02 03 04 05 06 07 08 10 00"
	vectorFailed   = "0a 08 01 02 03 04 05 06 07 08 10 ff ff ff ff ff ff ff ff ff 01"
	vectorResponse = `0a 08 01 02 03 04 05 06 07 08
		10 80 e2 cf aa 06  18 95 9a ef 3a  20 00
		2a 4a
		  0a 10 0a 0c 6e 6f 72 6d 61 6c 2e 6c 61 79 65 72 10 01
		  10 01
		  1a 34
		    0a 14 08 04 10 08 18 3c
		          22 0c 08 00 12 08 08 00 10 04 18 0f 20 3c
		    12 18 08 00 12 14 08 03 10 08 18 80 a3 05
		          20 84 07 28 84 07 30 f8 ac d1 91 01
		    18 00 20 01`
	vectorBroadcast = `0a 08 01 02 03 04 05 06 07 08 10 80 e2 cf aa 06 18 95 9a ef 3a 20 00 2a 17
		0a 13 0a 0f 62 72 6f 61 64 63 61 73 74 2e 6c 61 79 65 72 10 01 10 02`
	vectorRefusal = "0a 08 01 02 03 04 05 06 07 08 10 80 e2 cf aa 06 18 95 9a ef 3a 20 ff ff ff ff ff ff ff ff ff 01"
)

var (
	vectorID   = id{1, 2, 3, 4, 5, 6, 7, 8}
	vectorTime = time.Unix(1700000000, 123456789)
)

// unicastDefaults are those of spec 20 §0.1.
var unicastDefaults = ipcp.UnicastConfig{
	AddrSize: 4, EIDSize: 8, MaxTTL: 60, AddrAuth: "flat", Directory: "DHT", Routing: "link_state", Congestion: "mb-ecn",
	LSTimeo: 60, LSUpdate: 15, LSRecalc: 4, DHTAlpha: 3, DHTK: 8, DHTExpire: 86400, DHTRefresh: 900, DHTReplic: 900,
}

func unicastMembership() Membership {
	return Membership{
		Config: ipcp.Config{Type: ipcp.Unicast, Layer: "normal.layer", Hash: layer.SHA3_256, Unicast: unicastDefaults},
		Peer:   0x12345678,
	}
}

func broadcastMembership() Membership {
	return Membership{Config: ipcp.Config{Type: ipcp.Broadcast, Layer: "broadcast.layer", Hash: layer.SHA3_256}}
}

func same(a, b Membership) bool { return reflect.DeepEqual(a, b) }

func TestResponseVectors(t *testing.T) {
	unicast, broadcast := unicastMembership(), broadcastMembership()
	for text, want := range map[string]response{
		vectorResponse:              {id: vectorID, time: vectorTime, conf: &unicast},
		vectorBroadcast:             {id: vectorID, time: vectorTime, conf: &broadcast},
		vectorRefusal:               {id: vectorID, time: vectorTime, result: -1},
		vectorRefusal + " a0 06 01": {id: vectorID, time: vectorTime, result: -1, taken: true},
	} {
		b := unhex(t, text)
		if got, err := parseResponse(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: parsed %+v, %v", text, got, err)
		}
		if got := want.append(nil); !bytes.Equal(got, b) {
			t.Errorf("%+v: % x, want %s", want, got, text)
		}
	}
	if n := len(unhex(t, vectorResponse)); n != 99 {
		t.Errorf("vector has %d bytes, the spec 99", n)
	}
}

func TestRequestVectors(t *testing.T) {
	for text, want := range map[string]request{
		vectorRequest:                     {id: vectorID},
		vectorRequest + " a0 06 ac 02":    {id: vectorID, address: 300},
		vectorRequest + " a2 06 01 ff":    {}, // not ours
		vectorRequest + " 28 07 9a 03 00": {id: vectorID},
	} {
		got, err := parseRequest(unhex(t, text))
		if bad := want == (request{}); bad != (err != nil) || !bad && got != want {
			t.Errorf("%s: parsed %+v, %v", text, got, err)
		}
	}
	for _, q := range []request{{id: vectorID}, {id: vectorID, address: 300}} {
		if got, err := parseRequest(q.append(nil)); err != nil || got != q {
			t.Errorf("%+v became %+v, %v", q, got, err)
		}
	}
	if got := (request{id: vectorID}).append(nil); !bytes.Equal(got, unhex(t, vectorRequest)) {
		t.Errorf("% x", got)
	}
}

func TestAckVectors(t *testing.T) {
	for text, want := range map[string]ack{vectorAck: {id: vectorID}, vectorFailed: {vectorID, -1}} {
		b := unhex(t, text)
		if got, err := parseAck(b); err != nil || got != want {
			t.Errorf("%s: parsed %+v, %v", text, got, err)
		}
		if got := want.append(nil); !bytes.Equal(got, b) {
			t.Errorf("%+v: % x", want, got)
		}
	}
}

// All policies that have numbers travel.
func TestPolicies(t *testing.T) {
	for _, routing := range routings {
		for _, ca := range congestions {
			for h := layer.SHA3_224; h <= layer.SHA3_512; h++ {
				m := unicastMembership()
				m.Config.Hash, m.Config.Unicast.Routing, m.Config.Unicast.Congestion = h, routing, ca
				m.Config.Unicast.LSRecalc, m.Peer = 0, math.MaxUint32
				if got, err := parseMembership(m.append(nil)); err != nil || !same(got, m) {
					t.Errorf("%+v became %+v, %v", m, got, err)
				}
			}
		}
	}
}

// without calls f with the message as it is without each field, at all levels,
// and says where that was.
func without(msg []byte, nested map[protowire.Number]any, path string, f func(path string, b []byte)) {
	for rest := msg; len(rest) > 0; {
		num, typ, n := protowire.ConsumeField(rest)
		at := len(msg) - len(rest)
		before, after := msg[:at], rest[n:]
		f(fmt.Sprintf("%s.%d", path, num), append(bytes.Clone(before), after...))
		if sub, ok := nested[num].(map[protowire.Number]any); ok {
			inner, _ := protowire.ConsumeBytes(rest[protowire.SizeTag(num):])
			without(inner, sub, fmt.Sprintf("%s.%d", path, num), func(p string, b []byte) {
				changed := append(bytes.Clone(before), protowire.AppendBytes(protowire.AppendTag(nil, num, typ), b)...)
				f(p, append(changed, after...))
			})
		}
		rest = rest[n:]
	}
}

// shape says which fields of a response are messages.
var shape = map[protowire.Number]any{5: map[protowire.Number]any{
	1: map[protowire.Number]any{},
	3: map[protowire.Number]any{
		1: map[protowire.Number]any{4: map[protowire.Number]any{2: map[protowire.Number]any{}}},
		2: map[protowire.Number]any{2: map[protowire.Number]any{}},
	},
}}

// Every part that a prototype reads without looking must be there (OEP-1).
func TestNothingMayMiss(t *testing.T) {
	tried := 0
	without(unhex(t, vectorResponse), shape, "", func(path string, b []byte) {
		tried++
		if r, err := parseResponse(b); err == nil {
			t.Errorf("without %s: parsed %+v", path, r.conf)
		}
	})
	if tried != 5+3+2+4+4+2+4+2+6 {
		t.Errorf("tried %d fields", tried)
	}
	without(unhex(t, vectorAck), nil, "", func(path string, b []byte) {
		if a, err := parseAck(b); err == nil {
			t.Errorf("without %s: parsed %+v", path, a)
		}
	})
	if _, err := parseRequest(nil); err == nil {
		t.Error("empty request parsed")
	}
}

func TestCutOff(t *testing.T) {
	for _, v := range []string{vectorResponse, vectorBroadcast} {
		b := unhex(t, v)
		for n := range b {
			if r, err := parseResponse(b[:n]); err == nil {
				t.Errorf("%d of %d bytes: parsed %+v", n, len(b), r)
			}
		}
	}
}

// Values that a prototype would cut off, or that are none (OEP-2, OEP-3, OEP-5).
func TestValuesRefused(t *testing.T) {
	name := func(n int) Membership {
		m := unicastMembership()
		m.Config.Layer = strings.Repeat("n", n)
		return m
	}
	with := func(change func(*Membership)) Membership {
		m := unicastMembership()
		change(&m)
		return m
	}
	type M = *Membership
	for what, m := range map[string]Membership{
		"name of 0":      name(0),
		"name of 256":    name(256),
		"name of 800":    name(800),
		"name with NUL":  with(func(m M) { m.Config.Layer = "a\x00b" }),
		"hash 4":         with(func(m M) { m.Config.Hash = 4 }),
		"hash MD5":       with(func(m M) { m.Config.Hash = layer.MD5 }),
		"type local":     with(func(m M) { m.Config.Type = ipcp.Local }),
		"type udp4":      with(func(m M) { m.Config.Type = ipcp.UDP4 }),
		"type 7":         with(func(m M) { m.Config.Type = 7 }),
		"address size 0": with(func(m M) { m.Config.Unicast.AddrSize = 0 }),
		"address size":   with(func(m M) { m.Config.Unicast.AddrSize = 256 + 4 }),
		"EID size 0":     with(func(m M) { m.Config.Unicast.EIDSize = 0 }),
		"EID size":       with(func(m M) { m.Config.Unicast.EIDSize = 256 + 8 }),
		"TTL 0":          with(func(m M) { m.Config.Unicast.MaxTTL = 0 }),
		"TTL":            with(func(m M) { m.Config.Unicast.MaxTTL = 256 + 60 }),
		"TTL negative":   with(func(m M) { m.Config.Unicast.MaxTTL = -1 }),
		"update 0":       with(func(m M) { m.Config.Unicast.LSUpdate = 0 }),
		"timeout 0":      with(func(m M) { m.Config.Unicast.LSTimeo = 0 }),
		"timeout":        with(func(m M) { m.Config.Unicast.LSTimeo = math.MaxInt32 + 1 }),
		"recalc":         with(func(m M) { m.Config.Unicast.LSRecalc = -1 }),
		"alpha 0":        with(func(m M) { m.Config.Unicast.DHTAlpha = 0 }),
		"k 0":            with(func(m M) { m.Config.Unicast.DHTK = 0 }),
		"expire 0":       with(func(m M) { m.Config.Unicast.DHTExpire = 0 }),
		"refresh 0":      with(func(m M) { m.Config.Unicast.DHTRefresh = 0 }),
		"replicate 0":    with(func(m M) { m.Config.Unicast.DHTReplic = 0 }),
		"peer too long":  with(func(m M) { m.Peer = 1 << 32 }),
	} {
		if got, err := parseMembership(m.append(nil)); err == nil {
			t.Errorf("%s: parsed %+v", what, got)
		}
	}
	for _, n := range []int{1, 255} {
		m := name(n)
		if got, err := parseMembership(m.append(nil)); err != nil || !same(got, m) {
			t.Errorf("name of %d: %v", n, err)
		}
		m.Config.Unicast = ipcp.UnicastConfig{
			AddrSize: 8, EIDSize: 255, MaxTTL: 255, AddrAuth: "flat", Directory: "DHT", Routing: "ecmp", Congestion: "none",
			LSTimeo: math.MaxInt32, LSUpdate: math.MaxInt32, LSRecalc: math.MaxInt32, DHTAlpha: math.MaxInt32, DHTK: math.MaxInt32,
			DHTExpire: math.MaxInt32, DHTRefresh: math.MaxInt32, DHTReplic: math.MaxInt32,
		}
		m.Peer = math.MaxUint64
		r := response{id: vectorID, time: time.Unix(math.MaxInt64, 999999999), conf: &m, taken: true}
		b := r.append(nil)
		if len(b) > maxMessage {
			t.Errorf("the longest response has %d bytes", len(b))
		}
		if got, err := parseResponse(b); err != nil || !same(*got.conf, m) {
			t.Errorf("parsed %+v, %v", got.conf, err)
		}
	}
}

// Numbers of policies that have no name, at their places in the vector.
func TestUnknownPolicies(t *testing.T) {
	good := strings.Join(strings.Fields(vectorResponse), "")
	for what, change := range map[string][2]string{
		"address policy": {"18002001", "18012001"},
		"congestion":     {"18002001", "18002002"},
		"routing":        {"220c0800", "220c0801"},
		"link state":     {"08080010", "08080310"},
		"directory":      {"12180800", "12180801"},
	} {
		if strings.Count(good, change[0]) != 1 {
			t.Fatalf("%s: %q is not once in the vector", what, change[0])
		}
		if r, err := parseResponse(unhex(t, strings.Replace(good, change[0], change[1], 1))); err == nil {
			t.Errorf("%s: parsed %+v", what, r.conf)
		}
	}
}

func TestIDsOfOtherLengths(t *testing.T) {
	for n := range 20 {
		b := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), make([]byte, n))
		_, qerr := parseRequest(b)
		_, aerr := parseAck(appendNumber(bytes.Clone(b), 2, 0))
		_, rerr := parseResponse(appendNumber(appendNumber(appendNumber(bytes.Clone(b), 2, 0), 3, 0), 4, math.MaxUint64))
		if ok := n == 8; ok != (qerr == nil) || ok != (aerr == nil) || ok != (rerr == nil) {
			t.Errorf("id of %d bytes: %v, %v, %v", n, qerr, aerr, rerr)
		}
	}
}

// Unknown fields do no harm, at whatever level (spec 60 9b, 9c).
func TestUnknownFields(t *testing.T) {
	extra := appendBytes(appendNumber(appendBytes(nil, 99, []byte("hello")), 20, 1<<63), 50, make([]byte, 40))
	extra = protowire.AppendFixed32(protowire.AppendTag(extra, 200, protowire.Fixed32Type), 1)
	extra = protowire.AppendGroup(protowire.AppendTag(extra, 30, protowire.StartGroupType), 30, extra)
	r, err := parseResponse(append(unhex(t, vectorResponse), extra...))
	if want := unicastMembership(); err != nil || !same(*r.conf, want) {
		t.Errorf("response: %+v, %v", r, err)
	}
	if q, err := parseRequest(append(bytes.Clone(extra), unhex(t, vectorRequest)...)); err != nil || q.id != vectorID {
		t.Errorf("request: %+v, %v", q, err)
	}
	if a, err := parseAck(append(unhex(t, vectorAck), extra...)); err != nil || a != (ack{id: vectorID}) {
		t.Errorf("acknowledgement: %+v, %v", a, err)
	}
	m := unicastMembership()
	if got, err := parseMembership(append(m.append(nil), extra...)); err != nil || !same(got, m) {
		t.Errorf("configuration: %+v, %v", got, err)
	}
	if _, err := parseRequest(append(unhex(t, vectorRequest), appendBytes(nil, 99, make([]byte, 1100))...)); err == nil {
		t.Error("a request of more than 1023 bytes is taken")
	}
}

func FuzzResponse(f *testing.F) {
	for _, v := range []string{vectorResponse, vectorBroadcast, vectorRefusal, vectorRefusal + "a00601"} {
		f.Add(unhex(f, v))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseResponse(b)
		if err != nil {
			return
		}
		if r.result >= 0 && r.conf == nil {
			t.Errorf("no configuration: %+v", r)
		}
		if r.conf == nil {
			return
		}
		// What was taken can be handed on.
		again, err := parseMembership(r.conf.append(nil))
		if err != nil || !same(again, *r.conf) {
			t.Errorf("%+v became %+v, %v", *r.conf, again, err)
		}
		if n := len((response{conf: r.conf}).append(nil)); n > maxMessage {
			t.Errorf("%d bytes to hand on", n)
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add(unhex(f, vectorRequest))
	f.Add(request{vectorID, 300}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parseRequest(b)
		if err != nil {
			return
		}
		if again, err := parseRequest(q.append(nil)); err != nil || again != q {
			t.Errorf("%+v became %+v, %v", q, again, err)
		}
	})
}

func FuzzAck(f *testing.F) {
	f.Add(unhex(f, vectorAck))
	f.Add(unhex(f, vectorFailed))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAck(b)
		if err != nil {
			return
		}
		if again, err := parseAck(a.append(nil)); err != nil || again != a {
			t.Errorf("%+v became %+v, %v", a, again, err)
		}
	})
}
