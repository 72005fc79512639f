// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"o7gw/o7s/qos"
)

// Figures of a recorded run of the prototype.
func TestStatisticsText(t *testing.T) {
	s := stats{sent: 3}
	for _, us := range []int{65, 43, 31} {
		s.add(time.Duration(us) * time.Microsecond)
	}
	var out bytes.Buffer
	s.print(&out, "op", 152*time.Microsecond)
	const want = `
--- op ping statistics ---
3 packets transmitted, 3 received, 0 out-of-order, 0% packet loss, time: 0.152 ms
rtt min/avg/max/mdev = 31.000/46.333/65.000/17.243 µs
`
	if out.String() != want {
		t.Errorf("got %s", out.String())
	}

	one := stats{sent: 300, outOfOrder: 1}
	one.add(146 * time.Microsecond)
	out.Reset()
	one.print(&out, "op", time.Second)
	const wantOne = `
--- op ping statistics ---
300 packets transmitted, 1 received, 1 out-of-order, 100% packet loss, time: 1000.000 ms
rtt min/avg/max/mdev = 0.146/0.146/0.146/NaN ms
`
	if out.String() != wantOne {
		t.Errorf("got %s", out.String())
	}
}

func TestLossRoundsUp(t *testing.T) {
	for _, c := range []struct{ sent, received, want int }{
		{0, 0, 0}, {3, 3, 0}, {3, 4, 0}, {1000, 999, 1}, {3, 2, 34}, {3, 0, 100},
	} {
		s := stats{sent: c.sent, received: c.received}
		if got := s.loss(); got != c.want {
			t.Errorf("%d of %d: %d%%, want %d%%", c.received, c.sent, got, c.want)
		}
	}
}

func TestPercentilesAgreeWithSort(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var s stats
	var all []time.Duration
	for range 10001 {
		rtt := time.Duration(math.Exp(rnd.Float64()*20)) + time.Duration(rnd.IntN(100))
		s.add(rtt)
		all = append(all, rtt)
	}
	slices.Sort(all)
	for _, p := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
		want := float64(all[int(math.Ceil(p*float64(len(all))))-1])
		if got := float64(s.percentile(p)); math.Abs(got-want) > want/50+1 {
			t.Errorf("p%v = %v, want %v", p*100, got, want)
		}
	}
	if s.min != all[0] || s.max != all[len(all)-1] {
		t.Errorf("min %v max %v", s.min, s.max)
	}
}

func TestClassesAreInOrder(t *testing.T) {
	last := -1
	for _, v := range []time.Duration{-5, 0, 1, 63, 64, 127, 128, 129, 1 << 20, 1<<20 + 1<<15, 1 << 40, math.MaxInt64} {
		c := class(v)
		if c < last || c >= len(stats{}.hist) {
			t.Errorf("class(%d) = %d after %d", v, c, last)
		}
		if m := middle(c); v >= 0 && math.Abs(float64(m-v)) > float64(v)/64 {
			t.Errorf("middle of the class of %d is %d", v, m)
		}
		last = c
	}
}

func TestStatisticsJSON(t *testing.T) {
	opt := options{name: "op", size: 64, qos: qos.Raw}
	s := stats{sent: 2}
	var out bytes.Buffer
	s.printJSON(&out, &opt, time.Second, "timeout")
	s.add(4 * time.Microsecond)
	s.printJSON(&out, &opt, time.Second, "done")
	dec := json.NewDecoder(&out)
	var none, one map[string]any
	if err := dec.Decode(&none); err != nil {
		t.Fatal(err)
	}
	if err := dec.Decode(&one); err != nil {
		t.Fatal(err)
	}
	if _, ok := none["rtt_us"]; ok || none["loss_percent"] != 100.0 || none["end"] != "timeout" {
		t.Errorf("without replies: %v", none)
	}
	if r := one["rtt_us"].(map[string]any); r["p50"] != 4.0 || r["p99"] != 4.0 || one["loss_percent"] != 50.0 {
		t.Errorf("with one reply: %v", one)
	}
}
