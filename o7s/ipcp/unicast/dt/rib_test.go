// SPDX-License-Identifier: BSD-3-Clause

package dt

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"o7gw/o7s/qos"
	"o7gw/o7s/rib"
)

// text prints fields without columns.
func text(t *testing.T, d rib.Dir, name string) string {
	t.Helper()
	e, ok := d.Entry(name)
	if !ok {
		t.Fatalf("no entry %s", name)
	}
	var s strings.Builder
	for _, f := range e.Fields {
		switch v := f.Value.(type) {
		case nil:
			fmt.Fprintln(&s, f.Label)
		case time.Time:
			if since := time.Since(v); since < 0 || since > time.Minute {
				t.Errorf("%s: %s %v", name, f.Label, v)
			}
			fmt.Fprintln(&s, f.Label, "T")
		default:
			fmt.Fprintln(&s, f.Label, v)
		}
	}
	return s.String()
}

// cubeText is the lines of a cube with counts of packets, bytes.
func cubeText(cube int, counts ...int) string {
	s := fmt.Sprintf("Qos cube %3d:\n", cube)
	for i, l := range []string{"sent", "rcvd", "local sent", "local rcvd", "dropped ttl", "failed writes", "failed nhop"} {
		var p, b int
		if len(counts) > 0 {
			p, b = counts[2*i], counts[2*i+1]
		}
		s += fmt.Sprintf(" %s (packets): %d\n %s (bytes): %d\n", l, p, l, b)
	}
	return s
}

func TestRIB(t *testing.T) {
	n := newNode(t)
	n.right.queued = 5
	n.left.come(
		pdu(Header{Dst: right, Cube: 1, TTL: 9}, "a"), pdu(Header{Dst: self, Cube: 1, EID: 1}, "bc"),
		pdu(Header{Dst: left, TTL: 1}, ""), pdu(Header{Dst: 5, TTL: 2}, "x"), []byte("!"))
	if err := n.Send(right, 1, buffers([]byte("abc"))); err != nil {
		t.Fatal(err)
	}
	if n.Send(5, 1, buffers([]byte("abcd"))) == nil {
		t.Error("a route")
	}
	d := n.RIB()
	equal(t, "names", d.Names(), []string{"0", "1", "64", "65"})
	for name, want := range map[string]string{
		"0": "Flow established at: T\nEndpoint address: flow-allocator\nQueued packets (rx): 0\nQueued packets (tx): 0\n\n" +
			cubeText(0) + cubeText(1) + cubeText(2),
		"1": "Flow established at: T\nEndpoint address: dht\nQueued packets (rx): 0\nQueued packets (tx): 0\n\n" +
			cubeText(0, 0, 0, 0, 0, 0, 0, 2, 7, 0, 0, 0, 0, 1, 4) + cubeText(1, 1, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) + cubeText(2),
		"64": "Flow established at: T\nEndpoint address: 11.11.11.11\nQueued packets (rx): 0\nQueued packets (tx): 0\n\n" +
			cubeText(0, 0, 0, 2, 31, 0, 0, 0, 0, 1, 15, 0, 0, 1, 16) + cubeText(1, 0, 0, 2, 33, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0) + cubeText(2),
		"65": "Flow established at: T\nEndpoint address: 22.22.22.22\nQueued packets (rx): 0\nQueued packets (tx): 5\n\n" +
			cubeText(0, 1, 18, 0, 0, 1, 18, 0, 0, 0, 0, 0, 0, 0, 0) + cubeText(1, 1, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) + cubeText(2),
	} {
		if got := text(t, d, name); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
	}
	for _, name := range []string{"", "2", "63", "66", "064", "+1", "-1", "x", "18446744073709551617"} {
		if _, ok := d.Entry(name); ok {
			t.Errorf("entry %q", name)
		}
	}
	// As long as the file of the prototype (spec 40 §7.4).
	e, _ := d.Entry("64")
	size := 0
	for _, f := range e.Fields {
		switch f.Value.(type) {
		case nil:
			size += len(f.Label) + 1
		case time.Time:
			size += e.LabelWidth + len("2026-11-22 07:38:51 (UTC)") + 1
		default:
			size += e.LabelWidth + e.ValueWidth + 1
		}
	}
	equal(t, "bytes of text", size, 2210)
	more := n.Details()
	equal(t, "details", more.Names(), []string{"64", "65", "own", "table"})
	equal(t, "own", text(t, more, "own"), "No route (packets): 1\n")
	equal(t, "table", text(t, more, "table"), "11.11.11.11: 11.11.11.11\n22.22.22.22: 22.22.22.22\n")
	equal(t, "64", text(t, more, "64"), "Endpoint address: 11.11.11.11\nMalformed (packets): 1\nUnknown EID (packets): 0\nToo long (packets): 0\n")
	if _, ok := more.Entry("0"); ok {
		t.Error("details of a component")
	}
}

// The number of a neighbour that has gone is given to the next.
func TestNumbers(t *testing.T) {
	n := newNode(t)
	n.Remove(n.toLeft)
	equal(t, "after Remove", n.RIB().Names(), []string{"0", "1", "65"})
	n.Add(7, &hole{}, qos.Raw, nil)
	equal(t, "after Add", n.RIB().Names(), []string{"0", "1", "64", "65"})
}
