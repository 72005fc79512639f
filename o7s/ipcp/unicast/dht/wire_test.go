// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"o7gw/o7s/ipcp/capture"
	"o7gw/o7s/layer"
)

// unhex returns bytes written as in the specification.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// count returns n bytes from first on.
func count(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// The examples of spec 20 §10.11.
const (
	exampleSrc = `12 28 0a 20 a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af
	            b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 ba bb bc bd be bf 10 c4 e6 88 89 01`
	exampleKey = `12 20 42 de e3 b0 41 5b 4f 69 0f d9 1c bd 99 87 6f 1e
	         9b d8 d9 74 5e f7 fa 32 b1 42 77 3a f0 34 9d 54`
	exampleCookie = `08 88 8e 98 a8 c0 e0 80 81 01`
)

func TestExamples(t *testing.T) {
	src := contactMsg{count(0xa0, 32), 0x11223344}
	key := []byte(layer.SHA3_256.Sum("oping"))
	const cookie = 0x0102030405060708
	for _, c := range []struct {
		name string
		size int
		wire string
		msg  message
	}{
		{"FIND_NODE_REQ", 90, `08 01` + exampleSrc + `22 2c` + exampleCookie + exampleKey,
			message{kind: findNode, find: findMsg{cookie, key}}},
		{"FIND_VALUE_REQ", 90, `08 03` + exampleSrc + `22 2c` + exampleCookie + exampleKey,
			message{kind: findValue, find: findMsg{cookie, key}}},
		{"STORE", 96, `08 00` + exampleSrc + `1a 32 0a` + exampleKey[2:] + `12 08 00 00 00 00 11 22 33 44 18 80 f7 c4 d5 06`,
			message{kind: store, store: storeMsg{key, value(0x11223344), 1790000000}}},
		{"FIND_NODE_RSP", 132, `08 02` + exampleSrc + `2a 56` + exampleCookie + exampleKey +
			`1a 28 0a 20 c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 ca cb cc cd ce cf
			 d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de df 10 dd 99 ef d5 0a`,
			message{kind: foundNode, node: nodeMsg{cookie, key, []contactMsg{{count(0xc0, 32), 0xAABBCCDD}}}}},
		{"FIND_VALUE_RSP", 102, `08 04` + exampleSrc + `2a 2c` + exampleCookie + exampleKey + `32 0a 0a 08 00 00 00 00 55 66 77 88`,
			message{kind: foundValue, node: nodeMsg{cookie, key, nil}, value: valueMsg{[][]byte{value(0x55667788)}}}},
		{"FIND_VALUE_RSP without values", 92, `08 04` + exampleSrc + `2a 2c` + exampleCookie + exampleKey + `32 00`,
			message{kind: foundValue, node: nodeMsg{cookie, key, nil}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wire := unhex(t, c.wire)
			if len(wire) != c.size {
				t.Fatalf("the example has %d bytes, not %d", len(wire), c.size)
			}
			c.msg.src = src
			if b := c.msg.append(nil); !bytes.Equal(b, wire) {
				t.Errorf("written\n%x, want\n%x", b, wire)
			}
			var m message
			if err := m.parse(wire); err != nil {
				t.Fatal(err)
			}
			m.has = [7]bool{}
			if !reflect.DeepEqual(m, c.msg) {
				t.Errorf("parsed\n%+v, want\n%+v", m, c.msg)
			}
		})
	}
}

// Fields that are not known are skipped, on all levels (spec 60, 9a).
func TestUnknownFields(t *testing.T) {
	var extra []byte
	extra = protowire.AppendVarint(protowire.AppendTag(extra, 7, protowire.VarintType), 5)
	extra = protowire.AppendBytes(protowire.AppendTag(extra, 15, protowire.BytesType), []byte("x"))
	extra = protowire.AppendBytes(protowire.AppendTag(extra, 100, protowire.BytesType), count(0, 20))
	extra = protowire.AppendFixed32(protowire.AppendTag(extra, 200, protowire.Fixed32Type), 1)
	extra = protowire.AppendFixed64(protowire.AppendTag(extra, 201, protowire.Fixed64Type), 1)

	src := append(contactMsg{count(1, 32), 7}.append(nil), extra...)
	find := append(append([]byte{}, extra...), findMsg{9, count(2, 32)}.append(nil)...)
	b := append([]byte{}, extra...)
	b = appendVarint(b, 1, uint64(findValue))
	b = append(appendHead(b, 4, len(find)), find...)
	b = append(appendHead(b, 2, len(src)), src...)
	b = append(b, extra...)
	var m message
	if err := m.parse(b); err != nil {
		t.Fatal(err)
	}
	if m.src.addr != 7 || m.find.cookie != 9 || !bytes.Equal(m.find.key, count(2, 32)) {
		t.Errorf("parsed %+v", m)
	}
}

func TestMalformed(t *testing.T) {
	src := appendHead(nil, 2, contactMsg{count(1, 32), 7}.size())
	src = contactMsg{count(1, 32), 7}.append(src)
	msg := func(code uint64, rest ...[]byte) []byte {
		return append(append(appendVarint(nil, 1, code), src...), bytes.Join(rest, nil)...)
	}
	sub := func(no protowire.Number, b []byte) []byte { return append(appendHead(nil, no, len(b)), b...) }
	find := sub(4, findMsg{9, count(2, 32)}.append(nil))
	node := sub(5, (&nodeMsg{9, count(2, 32), nil}).append(nil))
	for name, c := range map[string]struct {
		b    []byte
		want error // nil: any
	}{
		"empty":                  {nil, errRequired},
		"no code":                {append(bytes.Clone(src), find...), errRequired},
		"no source":              {append(appendVarint(nil, 1, 1), find...), errRequired},
		"request without find":   {msg(1), errRequired},
		"response without node":  {msg(2, find), errRequired},
		"value without val":      {msg(4, node), errRequired},
		"store without store":    {msg(0, find), errRequired},
		"code 5":                 {msg(5, find), nil},
		"code of 64 bits":        {msg(1<<32+5, find), nil},
		"code as bytes":          {append(sub(1, []byte{1}), src...), errWireType},
		"source without id":      {append(appendVarint(nil, 1, 1), sub(2, appendVarint(nil, 2, 7))...), errRequired},
		"source without address": {append(appendVarint(nil, 1, 1), sub(2, appendBytes(nil, 1, "id"))...), errRequired},
		"find without key":       {msg(1, sub(4, appendVarint(nil, 1, 9))), errRequired},
		"find without cookie":    {msg(1, sub(4, appendBytes(nil, 2, "k"))), errRequired},
		"key as number":          {msg(1, sub(4, appendVarint(nil, 2, 9))), errWireType},
		"contact without id":     {msg(2, sub(5, append((&nodeMsg{9, count(2, 32), nil}).append(nil), sub(3, appendVarint(nil, 2, 7))...))), errRequired},
		"store without expiry":   {msg(0, sub(3, appendBytes(appendBytes(nil, 1, "k"), 2, "v"))), errRequired},
		"value as number":        {msg(4, node, sub(6, appendVarint(nil, 1, 9))), errWireType},
		"cut off":                {msg(1, find[:len(find)-1]), errCutOff},
		"field number 0":         {msg(1, []byte{0, 0}), errCutOff},
		"group without end":      {msg(1, find, []byte{0x3b}), errCutOff},
		"length of 2^63":         {msg(1, find, []byte{0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}), errCutOff},
		"endless number":         {msg(1, find, []byte{0x38, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), errCutOff},
	} {
		var m message
		if err := m.parse(c.b); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: parsed %+v, error %v, want %v", name, m, err, c.want)
		}
	}
}

// More contacts or values than anyone sends are not kept.
func TestParseBounds(t *testing.T) {
	m := message{kind: foundValue, src: contactMsg{count(1, 32), 7}, node: nodeMsg{cookie: 9, key: count(2, 32)}}
	for i := range 2000 {
		m.node.contacts = append(m.node.contacts, contactMsg{count(3, 32), uint64(i)})
		m.value.values = append(m.value.values, value(uint64(i)))
	}
	var got message
	if err := got.parse(m.append(nil)); err != nil {
		t.Fatal(err)
	}
	if len(got.node.contacts) != maxContacts || len(got.value.values) != maxParsedValues {
		t.Errorf("kept %d contacts and %d values", len(got.node.contacts), len(got.value.values))
	}
}

// captured returns the DHT messages of a recording, in order, with their addresses.
func captured(t testing.TB, file string) []capture.PDU {
	t.Helper()
	flows, err := capture.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []capture.PDU
	for _, f := range flows {
		for _, p := range f.PDUs() {
			if p.EID == 1 {
				list = append(list, p)
			}
		}
	}
	return list
}

// unicastFiles are the recordings of unicast layers and how many DHT messages of each
// kind are in them.
var unicastFiles = map[string][5]int{
	"uni-udp4.pcap":                 {1, 2, 2, 0, 0},
	"uni-dix.pcap":                  {1, 2, 2, 0, 0},
	"uni-dix-data.pcap":             {1, 2, 2, 0, 0},
	"uni-dix-sha384-ecmp-nocc.pcap": {1, 2, 2, 0, 0},
	"line-eth1.pcap":                {1, 2, 2, 1, 1},
	"line-eth2.pcap":                {0, 2, 2, 2, 2},
}

// Every DHT message that C nodes sent is parsed, and written again byte by byte.
func TestCaptureMessages(t *testing.T) {
	for file, want := range unicastFiles {
		var kinds [5]int
		for _, p := range captured(t, file) {
			var m message
			if err := m.parse(p.Payload); err != nil {
				t.Errorf("%s: %x: %v", file, p.Payload, err)
				continue
			}
			kinds[m.kind]++
			if b := m.append(nil); !bytes.Equal(b, p.Payload) {
				t.Errorf("%s: written\n%x, captured\n%x", file, b, p.Payload)
			}
			if m.src.addr == 0 || len(m.src.id) != 32 && len(m.src.id) != 48 {
				t.Errorf("%s: from %x, id %x", file, m.src.addr, m.src.id)
			}
		}
		if kinds != want {
			t.Errorf("%s: messages by kind %v, want %v", file, kinds, want)
		}
	}
}
