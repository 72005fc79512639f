// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	for _, v := range []struct{ args, want string }{
		{"", "which name?"},
		{"a b", `unexpected argument "b"`},
		{"-x a", "unknown shorthand flag: 'x'"},
		{"-q gold a", "none of raw, best, video, voice, data"},
		{"-l -q raw a", "--qos is for the end that dials"},
		{"-k a", "goes with -l only"},
		{"-e cat --tcp h:1 a", "either --exec or --tcp"},
		{"-l -m 5 -e cat a", "--max goes with -k"},
		{"-l -k -m 0 -e cat a", "--max must be above 0"},
		{"-p --raw-packets a", "either --packets or --raw-packets"},
		{"-e cat -N a", "standard input"},
		{"-e cat --quit 0 a", "standard input"},
		{"-z -l a", "--zero goes with"},
		{"-w soon a", "not a time"},
		{"-w -1s a", "not a time"},
		{"-w 1e300 a", "not a time"},
		{"-w NaN a", "not a time"},
	} {
		p := start(t, "/nonexistent", strings.Fields(v.args)...)
		p.ends(1)
		if got := p.stderr.String(); !strings.HasPrefix(got, "onc: ") || !strings.Contains(got, v.want) || !strings.HasSuffix(got, usage) {
			t.Errorf("onc %s: %q", v.args, got)
		}
	}
	p := start(t, "/nonexistent", "-h")
	p.ends(0)
	if p.output() != usage {
		t.Errorf("onc -h: %q", p.stdout)
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "5": 5 * time.Second, "0.5": 500 * time.Millisecond, "250ms": 250 * time.Millisecond, "2m": 2 * time.Minute} {
		o, err := parseOptions([]string{"-w", text, "a"})
		if err != nil || o.timeout != want {
			t.Errorf("%s: %v, %v", text, o.timeout, err)
		}
	}
}

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 999499: "999 kB", 999500: "1 MB", 12345678: "12.3 MB", 9e18: "9 EB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %q, not %q", n, got, want)
		}
	}
}

// TestWritev writes more slices than the kernel takes at once, into a pipe
// that is full in between.
func TestWritev(t *testing.T) {
	r, w := pipe(t)
	var want []byte
	var bufs [][]byte
	for i := range 3000 {
		b := bytes.Repeat([]byte{byte(i)}, i%200)
		bufs, want = append(bufs, b), append(want, b...)
	}
	got := newText()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1000)
		for n, err := r.Read(buf); err == nil; n, err = r.Read(buf) {
			got.Write(buf[:n])
		}
	}()
	if err := writev(w, bufs, nil); err != nil {
		t.Fatal(err)
	}
	w.Close()
	<-done
	if got.String() != string(want) {
		t.Fatalf("%d bytes of %d, or others", len(got.String()), len(want))
	}
}

func TestNotes(t *testing.T) {
	var b bytes.Buffer
	n := notes{w: &b, verbose: true}
	n.draw("half of it")
	n.draw("all")
	n.say("over")
	const want = "\rhalf of it\rall       \r   \ronc: over\n"
	if b.String() != want {
		t.Errorf("%q", b.String())
	}
}

func TestProgressText(t *testing.T) {
	start := time.Now()
	before := sample{start, 1000, 500}
	got := sample{start.Add(2 * time.Second), 5e6 + 1000, 500}.since(before)
	if want := "sent 5 MB (2.5 MB/s), received 500 B (0 B/s)"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}
