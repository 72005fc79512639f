// SPDX-License-Identifier: BSD-3-Clause

// Package log makes the log handlers of our programs (spec 40 §8): the
// Ouroboros format `==06773== irmd(II): Created IPCP 6794.`, JSON, and text,
// to a stream or to syslog. Each record is one write; those of a Queue may share
// one.
//
// Start with New. The attribute "component" says which part speaks; in the
// Ouroboros format it is the prefix, by default the name of the program.
package log

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Format is the format of log lines.
type Format uint8

const (
	// O7s is the format of the prototype: `==pid== component(level): text`.
	O7s Format = iota
	// JSON is one object per line.
	JSON
	// Text is key=value.
	Text
)

// formats gives names as users type them.
var formats = [...]string{O7s: "o7s", JSON: "json", Text: "text"}

// ParseFormat returns the format of a name typed by a user.
func ParseFormat(s string) (Format, error) {
	for f, name := range formats {
		if name == s {
			return Format(f), nil
		}
	}
	return 0, fmt.Errorf("parse log format: %q is none of %s", s, strings.Join(formats[:], ", "))
}

// String returns the name as users type it.
func (f Format) String() string {
	if int(f) < len(formats) {
		return formats[f]
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// LevelProtocol is the level of messages about single protocol messages (PP),
// below debug: only who asks for it gets it.
const LevelProtocol = slog.LevelDebug - 4

// levels gives names as users type them, with the codes of the prototype.
var levels = []struct {
	name  string
	code  string
	level slog.Level
}{
	{"error", "EE", slog.LevelError},
	{"warning", "WW", slog.LevelWarn},
	{"info", "II", slog.LevelInfo},
	{"debug", "DB", slog.LevelDebug},
	{"protocol", "PP", LevelProtocol},
}

// ParseLevel returns the level of a name typed by a user: error, warning (or
// warn), info, debug or protocol; the two-letter codes of the prototype are
// names too.
func ParseLevel(s string) (slog.Level, error) {
	for _, l := range levels {
		if s == l.name || strings.EqualFold(s, l.code) {
			return l.level, nil
		}
	}
	if s == "warn" {
		return slog.LevelWarn, nil
	}
	return 0, fmt.Errorf("parse log level: %q is none of error, warning, info, debug, protocol", s)
}

// LevelName returns the name of a level as ParseLevel takes it.
func LevelName(l slog.Level) string { return levels[index(l)].name }

// index returns the entry of levels for any level.
func index(l slog.Level) int {
	for i := range levels {
		if l >= levels[i].level {
			return i
		}
	}
	return len(levels) - 1
}

// New returns a handler that writes to w what is at or above the level, which
// may change at any time. The Ouroboros format has colours if w is a terminal.
func New(w io.Writer, f Format, level *slog.LevelVar) slog.Handler {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: nameLevel}
	switch f {
	case JSON:
		return slog.NewJSONHandler(w, opts)
	case Text:
		return slog.NewTextHandler(w, opts)
	}
	return newHandler(&stream{w: w, colour: isTerminal(w), pid: os.Getpid(), component: filepath.Base(os.Args[0])}, level)
}

// nameLevel writes our level names, of which slog does not know them all.
func nameLevel(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey {
		if l, ok := a.Value.Any().(slog.Level); ok {
			a.Value = slog.StringValue(LevelName(l))
		}
	}
	return a
}

// isTerminal reports whether w shows colours.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	terminal := false
	err = raw.Control(func(fd uintptr) {
		_, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		terminal = err == nil
	})
	return err == nil && terminal
}
