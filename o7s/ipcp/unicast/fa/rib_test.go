// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"slices"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/qos"
)

// labels are those of spec 40 §7.3, in their order.
var labels = []string{
	"Flow established at:", "Remote address:", "Local endpoint ID:", "Remote endpoint ID:",
	"Sent (packets):", "Sent (bytes):", "Send failed (packets):", "Send failed (bytes):",
	"Received (packets):", "Received (bytes):", "Receive failed (packets):", "Receive failed (bytes):",
	"Sent flow updates (packets):", "Received flow updates (packets):",
	"Congestion avoidance algorithm:", "Upstream congestion level:", "Upstream packet counter:",
	"Downstream congestion level:", "Downstream packet counter:", "Congestion window size (ns):",
	"Packets in this window:", "Bytes in this window:", "Max bytes in this window:", "Current congestion regime:",
}

func TestRIB(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.MBECN, qos.Raw)
		defer p.close()
		p.client.Send(buffers("abc", "d"))
		p.mark.Store(3)
		p.client.Send(buffers("efgh"))
		d := p.a.RIB()
		if got := d.Names(); !slices.Equal(got, []string{"64"}) {
			t.Fatalf("names %q", got)
		}
		e, ok := d.Entry("64")
		if !ok || e.LabelWidth != 33 || e.ValueWidth != 20 {
			t.Fatalf("%+v", e)
		}
		value := make(map[string]any)
		for i, f := range e.Fields {
			value[f.Label] = f.Value
			if i < len(labels) && f.Label != labels[i] || len(f.Label) > e.LabelWidth {
				t.Errorf("label %d is %q", i, f.Label)
			}
		}
		f := p.client.(*flow)
		for label, want := range map[string]any{
			"Remote address:": uint64(bob), "Local endpoint ID:": f.eid, "Remote endpoint ID:": f.remote.Load(),
			"Sent (packets):": uint64(3), "Sent (bytes):": uint64(8), "Send failed (packets):": uint64(0),
			"Received flow updates (packets):": uint64(1), "Upstream congestion level:": uint16(3),
			"Congestion avoidance algorithm:": "Multi-bit ECN", "Current congestion regime:": "Multiplicative dec",
			"Congestion window size (ns):": int64(1 << 24), "Max bytes in this window:": int64(65536),
		} {
			if value[label] != want {
				t.Errorf("%s %v, want %v", label, value[label], want)
			}
		}
		if at := value["Flow established at:"].(time.Time); time.Since(at) > time.Second {
			t.Errorf("established at %v", at)
		}
		e, _ = p.b.RIB().Entry("64")
		if v := e.Fields[slices.Index(labels, "Downstream congestion level:")].Value; v != uint16(3) {
			t.Errorf("level of what arrives: %v", v)
		}
		for _, name := range []string{"", "65", "064", "-1", "x", "stats", "99999999999"} {
			if _, ok := d.Entry(name); ok {
				t.Errorf("there is an entry %q", name)
			}
		}
		all, ok := p.a.Details().Entry("stats")
		if !ok || !slices.Equal(p.a.Details().Names(), []string{"stats"}) || all.Fields[0].Value != 1 {
			t.Errorf("%+v", all)
		}
		for _, f := range all.Fields {
			if len(f.Label) > all.LabelWidth {
				t.Errorf("label %q is too long", f.Label)
			}
		}
		if _, ok := p.a.Details().Entry("64"); ok {
			t.Error("details of a flow")
		}
	})
}

// Without congestion avoidance that part is left out.
func TestRIBWithoutCA(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.None, qos.Raw)
		defer p.close()
		e, _ := p.a.RIB().Entry("64")
		for _, f := range e.Fields {
			if slices.Contains(labels[14:], f.Label) {
				t.Errorf("%q is shown", f.Label)
			}
		}
	})
}
