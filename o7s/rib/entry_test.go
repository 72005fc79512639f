// SPDX-License-Identifier: BSD-3-Clause

package rib

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 999, time.UTC)

// dtEntry is one of data transfer (spec 40 §7.4).
func dtEntry() Entry {
	e := Entry{LabelWidth: 26, ValueWidth: 20, Fields: []Field{
		{"Flow established at:", noon}, {"Endpoint address:", "78.56.34.12"},
		{"Queued packets (rx):", 0}, {"Queued packets (tx):", uint32(7)}, {},
	}}
	for cube := range 3 {
		e.Fields = append(e.Fields, Field{Label: fmt.Sprintf("Qos cube %3d:", cube)})
		for _, l := range []string{"sent", "rcvd", "local sent", "local rcvd", "dropped ttl", "failed writes", "failed nhop"} {
			e.Fields = append(e.Fields, Field{" " + l + " (packets):", uint64(cube)}, Field{" " + l + " (bytes):", uint64(math.MaxUint64)})
		}
	}
	return e
}

// TestText: to the byte as the prototype's files (spec 40 §7).
func TestText(t *testing.T) {
	dt := string(dtEntry().AppendText(nil))
	if len(dt) != 2210 { // the prototype's 2211 have a NUL
		t.Errorf("dt has %d bytes:\n%s", len(dt), dt)
	}
	for _, line := range []string{
		"Flow established at:      2026-11-25 12:00:00 (UTC)\n",
		"\nEndpoint address:                  78.56.34.12\n",
		fmt.Sprintf("\n%-26s%20d\n\nQos cube %3d:\n%-26s%20d\n", "Queued packets (tx):", 7, 0, " sent (packets):", 0),
	} {
		if !strings.Contains(dt, line) {
			t.Errorf("dt lacks %q:\n%s", line, dt)
		}
	}
	for what, c := range map[string]struct {
		e    Entry
		want string
	}{
		"lsdb": {
			Entry{5, 20, []Field{{"src:", "78.56.34.12"}, {"dst:", "1.2.3.4"}, {"seqno:", uint64(42)}, {"upd:", noon}}},
			fmt.Sprintf("src: %20s\ndst: %20s\nseqno: %18s\nupd: %s\n", "78.56.34.12", "1.2.3.4", "42", "2026-11-25 12:00:00 (UTC)"),
		},
		"frct": {
			Entry{33, 20, []Field{{"Maximum packet lifetime (ns):", 60 * time.Second}, {"Receiver last ack:", int64(-1)}}},
			fmt.Sprintf("%-33s%20d\n%-33s%20d\n", "Maximum packet lifetime (ns):", int64(60e9), "Receiver last ack:", -1),
		},
		"info":     {Word("operational"), "operational\n"},
		"no width": {Entry{Fields: []Field{{"a:", 1}, {"b: ", "x"}}}, "a: 1\nb: x\n"},
		"too long": {Entry{4, 4, []Field{{"a very long label:", "and a value"}}}, "a very long label: and a value\n"},
		"hostile":  {Entry{4, 6, []Field{{"n:", "a\nb: 7"}}}, "n:  \"a\\nb: 7\"\n"},
		"nothing":  {Entry{}, ""},
	} {
		if got := string(c.e.AppendText(nil)); got != c.want {
			t.Errorf("%s: got\n%q, want\n%q", what, got, c.want)
		}
	}
	if got := len(Entry{33, 20, []Field{{"a:", 1}}}.AppendText(nil)); got != 54 {
		t.Errorf("a line of 33+20 has %d bytes", got)
	}
}

func TestJSON(t *testing.T) {
	for what, c := range map[string]struct {
		e    Entry
		want string
	}{
		"word":   {Word("operational"), `"operational"`},
		"number": {Entry{Fields: []Field{{Value: 3}}}, `3`},
		"values": {
			Entry{Fields: []Field{{"at:", noon}, {" a b: ", "x"}, {}, {"n:", uint64(math.MaxUint64)}, {"d:", time.Second}}},
			`{"at":"2026-11-25T12:00:00Z","a b":"x","n":18446744073709551615,"d":1000000000}`,
		},
		"headings by indentation": {
			Entry{Fields: []Field{{"DHT:", "00ff"}, {"  Kademlia parameters:", nil}, {"     k", 8}, {"  Number of keys:", 2}}},
			`{"DHT":"00ff","Kademlia parameters":{"k":8},"Number of keys":2}`,
		},
		"headings in headings": {
			Entry{Fields: []Field{{"Key: K1", nil}, {"  Local:", nil}, {"    V1", 1}, {"    V1", 2}, {"Key: K2", nil}, {"  Local:", nil}, {"    V2", 3}}},
			`{"Key: K1":{"Local":{"V1":1,"V1#2":2}},"Key: K2":{"Local":{"V2":3}}}`,
		},
		"flat headings": {
			Entry{Fields: []Field{{"one:", nil}, {"a:", 1}, {" b:", 2}, {"two:", nil}, {"a:", 3}}},
			`{"one":{"a":1,"b":2},"two":{"a":3}}`,
		},
		"heading at the end": {Entry{Fields: []Field{{"  No entries.", nil}}}, `{"No entries.":{}}`},
		"nothing":            {Entry{}, `{}`},
	} {
		got, err := json.Marshal(c.e)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n got %s\nwant %s", what, err, got, c.want)
		}
	}
	var cubes map[string]any
	b, err := json.Marshal(dtEntry())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &cubes); err != nil || len(cubes) != 7 || len(cubes["Qos cube   1"].(map[string]any)) != 14 {
		t.Errorf("%v, %v", err, cubes)
	}
}

// FuzzEntry: whatever labels and values say, the text has as many lines as
// fields, and JSON stays JSON.
func FuzzEntry(f *testing.F) {
	f.Add("Flow established at:", " sent (packets):", "x\ny", int64(-1), uint8(26), uint8(20))
	f.Add("", "", "", int64(0), uint8(0), uint8(0))
	f.Add("  a:", "\xff\x00", "\u2028", int64(1<<62), uint8(255), uint8(1))
	f.Fuzz(func(t *testing.T, a, b, text string, n int64, lw, vw uint8) {
		e := Entry{int(lw), int(vw), []Field{{a, nil}, {b, text}, {a, n}, {}, {b, nil}, {text, noon}, {Value: uint64(n)}}}
		if s := string(e.AppendText(nil)); strings.Count(s, "\n") != len(e.Fields) {
			t.Errorf("%d fields:\n%q", len(e.Fields), s)
		}
		j, err := e.MarshalJSON()
		if err != nil || !json.Valid(j) {
			t.Errorf("%s: %v", j, err)
		}
	})
}
