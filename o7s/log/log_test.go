// SPDX-License-Identifier: BSD-3-Clause

package log

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// o7s returns a logger in the Ouroboros format of process 6773.
func o7s(colour bool) (*slog.Logger, *bytes.Buffer, *slog.LevelVar) {
	var b bytes.Buffer
	level := new(slog.LevelVar)
	return slog.New(newHandler(&stream{w: &b, colour: colour, pid: 6773, component: "irmd"}, level)), &b, level
}

func TestLines(t *testing.T) {
	l, b, level := o7s(false)
	level.Set(LevelProtocol)
	l.With(ComponentKey, "irmd").Info("Created IPCP 6794.")
	l.Error("No component.")
	udp := l.With(ComponentKey, "ipcpd/udp4", "ipcp", 3)
	udp.Warn("Careful.", "text", "two words", "n", 5, "empty", "")
	udp.Debug("Details.", ComponentKey, "shim-data", slog.Group("g", "a", 1, slog.Group("h", "b", true)))
	udp.WithGroup("x").With("k", time.Second).Log(t.Context(), LevelProtocol, "Message.", "err", errors.New(`bad "thing"`), ComponentKey, "attribute")
	l.Info("Two\nlines \x1b[31mred \xff é.", "key\n", "v\nw", "z", "\xff")
	l.Info("At.", "t", time.Unix(0, 0).UTC(), slog.Attr{})
	want := `==06773== irmd(II): Created IPCP 6794.
==06773== irmd(EE): No component.
==06773== ipcpd/udp4(WW): Careful. ipcp=3 text="two words" n=5 empty=""
==06773== shim-data(DB): Details. ipcp=3 g.a=1 g.h.b=true
==06773== ipcpd/udp4(PP): Message. ipcp=3 x.k=1s x.err="bad \"thing\"" x.component=attribute
==06773== irmd(II): Two\nlines \x1b[31mred \xff é. key\n="v\nw" z="\xff"
==06773== irmd(II): At. t=1970-01-01T00:00:00Z
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestColours(t *testing.T) {
	l, b, level := o7s(true)
	level.Set(LevelProtocol)
	for _, v := range []slog.Level{slog.LevelError, slog.LevelWarn, slog.LevelInfo, slog.LevelDebug, LevelProtocol} {
		l.Log(t.Context(), v, "x")
	}
	want := "\x1b[31m==06773== irmd(EE): x\x1b[0m\n\x1b[33m==06773== irmd(WW): x\x1b[0m\n\x1b[32m==06773== irmd(II): x\x1b[0m\n" +
		"==06773== irmd(DB): x\n\x1b[34m==06773== irmd(PP): x\x1b[0m\n"
	if got := b.String(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if isTerminal(b) {
		t.Error("a buffer counts as a terminal")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if isTerminal(w) {
		t.Error("a pipe counts as a terminal")
	}
}

// TestColourOnTerminal looks at a real terminal, whatever stands in the
// environment of the test.
func TestColourOnTerminal(t *testing.T) {
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	defer ptmx.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if !isTerminal(ptmx) {
		t.Error("a terminal is none")
	}
	t.Setenv("NO_COLOR", "1")
	if isTerminal(ptmx) {
		t.Error("NO_COLOR is ignored")
	}
}

func TestLevelSwitch(t *testing.T) {
	for _, f := range []Format{O7s, JSON, Text} {
		var b bytes.Buffer
		level := new(slog.LevelVar)
		l := slog.New(New(&b, f, level))
		old := l.With("a", 1)
		old.Debug("hidden")
		level.Set(slog.LevelDebug)
		old.Debug("shown")
		level.Set(slog.LevelError)
		l.Warn("hidden")
		if got := b.String(); strings.Contains(got, "hidden") || strings.Count(got, "shown") != 1 {
			t.Errorf("%v: %q", f, got)
		}
	}
}

func TestJSONAndText(t *testing.T) {
	var b bytes.Buffer
	level := new(slog.LevelVar)
	level.Set(LevelProtocol)
	slog.New(New(&b, JSON, level)).Log(t.Context(), LevelProtocol, "m", ComponentKey, "dht", "level", "mine")
	var line struct{ Level, Msg, Component string }
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line.Msg != "m" || line.Component != "dht" || !bytes.Contains(b.Bytes(), []byte(`"level":"protocol"`)) {
		t.Errorf("JSON: %s", &b)
	}
	b.Reset()
	slog.New(New(&b, Text, level)).Warn("m", ComponentKey, "dht")
	if got := b.String(); !strings.Contains(got, "level=warning msg=m component=dht") {
		t.Errorf("text: %s", got)
	}
}

func TestNames(t *testing.T) {
	for f, name := range formats {
		if got, err := ParseFormat(name); err != nil || got != Format(f) || got.String() != name {
			t.Errorf("ParseFormat(%q) = %v, %v", name, got, err)
		}
	}
	for _, l := range levels {
		for _, name := range []string{l.name, l.code, strings.ToLower(l.code)} {
			if got, err := ParseLevel(name); err != nil || got != l.level || LevelName(got) != l.name {
				t.Errorf("ParseLevel(%q) = %v, %v", name, got, err)
			}
		}
	}
	if _, err := ParseFormat("xml"); err == nil {
		t.Error("format xml exists")
	}
	if _, err := ParseLevel("loud"); err == nil {
		t.Error("level loud exists")
	}
	if l, err := ParseLevel("warn"); err != nil || l != slog.LevelWarn {
		t.Errorf("warn = %v, %v", l, err)
	}
}

// writes counts writes and keeps them apart.
type writes struct{ lines []string }

func (w *writes) Write(p []byte) (int, error) {
	w.lines = append(w.lines, string(p))
	return len(p), nil
}

func TestOneWritePerLine(t *testing.T) {
	var w writes
	l := slog.New(New(&w, O7s, new(slog.LevelVar)))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := range 100 {
				l.With(ComponentKey, fmt.Sprint(g)).Info("x", "n", n)
			}
		})
	}
	wg.Wait()
	if len(w.lines) != 800 {
		t.Fatalf("%d writes for 800 lines", len(w.lines))
	}
	for _, line := range w.lines {
		if !strings.HasPrefix(line, "==") || strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
			t.Fatalf("line %q", line)
		}
	}
}
