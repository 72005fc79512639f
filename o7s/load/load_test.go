// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"o7gw/o7s/bubble"
)

func TestRates(t *testing.T) {
	if got := Mbps(125000, time.Second); got != 1 {
		t.Errorf("125000 bytes in a second: %v Mb/s", got)
	}
	if got := Mbps(1, 0); got != 0 {
		t.Errorf("in no time: %v", got)
	}
	for bps, want := range map[float64]string{0: "0.000 kb/s", 1500: "1.500 kb/s", 1e6: "1.000 Mb/s", 12.3456e9: "12.346 Gb/s"} {
		if got := RateText(bps); got != want {
			t.Errorf("%v: %q", bps, got)
		}
	}
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		lost, all uint64
		want      int
	}{{0, 0, 0}, {0, 5, 0}, {1, 1000, 1}, {10, 1000, 1}, {11, 1000, 2}, {5, 5, 100}, {6, 5, 100}, {1, 0, 0}, {1 << 56, 1 << 57, 50}} {
		if got := Percent(c.lost, c.all); got != c.want {
			t.Errorf("%d of %d: %d%%, want %d%%", c.lost, c.all, got, c.want)
		}
	}
}

func TestSpan(t *testing.T) {
	first := time.Unix(0, 0)
	for n, want := range map[uint64]time.Duration{0: 0, 1: 0, 2: 2 * time.Second, 101: 1010 * time.Millisecond} {
		if got := Span(first, first.Add(time.Second), n); got != want {
			t.Errorf("%d packets: %v, want %v", n, got, want)
		}
	}
}

// The line appears every second and is gone at the end.
func TestShow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		n := 0
		stop := show(&out, time.Second, func() string { n++; return fmt.Sprint("line ", n) })
		time.Sleep(2500 * time.Millisecond)
		stop()
		if want := clearLine + "line 1" + clearLine + "line 2" + clearLine; out.String() != want {
			t.Errorf("wrote %q", out.String())
		}
		out.Reset()
		show(&out, time.Second, func() string { return "" })()
		if out.Len() > 0 {
			t.Errorf("a short test wrote %q", out.String())
		}
	})
}

// Nothing is shown where there is no terminal.
func TestShowProgressIntoFile(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if isTerminal(f) {
		t.Error("a file is a terminal")
	}
	called := func() string { t.Error("a line was made"); return "" }
	ShowProgress(f, called)()
	ShowProgress(&bytes.Buffer{}, called)()
}

func TestTerminal(t *testing.T) {
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo terminals here: ", err)
	}
	defer pty.Close()
	if !isTerminal(pty) {
		t.Error("a terminal is none")
	}
}

func TestMeter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m Meter
		if r := m.Rate(1000); r != 0 {
			t.Errorf("first %v", r)
		}
		time.Sleep(2 * time.Second)
		if r := m.Rate(1500); math.Abs(r-250) > 1e-9 {
			t.Errorf("rate %v", r)
		}
		time.Sleep(time.Second)
		if r := m.Rate(100); r != 0 {
			t.Errorf("rate %v of a total that shrank", r)
		}
	})
}
