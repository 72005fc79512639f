// SPDX-License-Identifier: BSD-3-Clause

package log

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// ComponentKey is the attribute that says which part of a program speaks.
const ComponentKey = "component"

// sink writes finished lines: text is printable, component is as it was
// given.
type sink interface {
	write(level slog.Level, component string, text []byte) error
}

// handler renders records for people: message, then attributes as key=value.
type handler struct {
	out       sink
	level     slog.Leveler
	component string
	attrs     []byte // rendered, with a leading space each
	prefix    string // of keys, from groups
}

func newHandler(out sink, level slog.Leveler) *handler {
	return &handler{out: out, level: level}
}

// Enabled reports whether the level is logged now.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle writes one record.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	text := appendPlain(make([]byte, 0, 256), r.Message)
	text = append(text, h.attrs...)
	component := h.component
	r.Attrs(func(a slog.Attr) bool {
		if h.prefix == "" && a.Key == ComponentKey {
			component = a.Value.Resolve().String()
		} else {
			text = appendAttr(text, h.prefix, a)
		}
		return true
	})
	return h.out.write(r.Level, component, text)
}

// WithAttrs returns a handler that adds attributes to each record.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = append([]byte(nil), h.attrs...)
	for _, a := range attrs {
		if h.prefix == "" && a.Key == ComponentKey {
			next.component = a.Value.Resolve().String()
		} else {
			next.attrs = appendAttr(next.attrs, h.prefix, a)
		}
	}
	return &next
}

// WithGroup returns a handler that puts name in front of later keys.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.prefix += name + "."
	return &next
}

// appendAttr renders one attribute with a leading space.
func appendAttr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	switch {
	case a.Equal(slog.Attr{}):
		return b
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			b = appendAttr(b, prefix, member)
		}
		return b
	}
	b = append(b, ' ')
	b = appendPlain(b, prefix+a.Key)
	b = append(b, '=')
	if v.Kind() == slog.KindTime {
		return v.Time().AppendFormat(b, time.RFC3339Nano)
	}
	s := v.String()
	if needsQuotes(s) {
		return strconv.AppendQuote(b, s)
	}
	return append(b, s...)
}

// needsQuotes reports whether a value would be hard to tell from its
// surroundings.
func needsQuotes(s string) bool {
	for _, r := range s {
		if r == ' ' || r == '"' || r == '=' || r == utf8.RuneError || !unicode.IsPrint(r) {
			return true
		}
	}
	return s == ""
}

// appendPlain appends s with everything escaped that would break the line or
// drive a terminal: names come from users.
func appendPlain(b []byte, s string) []byte {
	ascii := 0
	for ascii < len(s) && s[ascii] >= ' ' && s[ascii] <= '~' {
		ascii++
	}
	b, s = append(b, s[:ascii]...), s[ascii:]
	for i, r := range s {
		switch {
		case r == utf8.RuneError || !unicode.IsPrint(r):
			_, size := utf8.DecodeRuneInString(s[i:])
			q := strconv.AppendQuote(nil, s[i:i+size])
			b = append(b, q[1:len(q)-1]...)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// stream writes lines in the format of the prototype.
type stream struct {
	pid       int
	colour    bool
	component string // of records without

	mu sync.Mutex // one line at a time; guards all below
	w  io.Writer
	// gather keeps lines in held until flush, or until there are enough of them.
	gather bool
	held   []byte
	line   []byte // buffer
}

// maxHeld is how many bytes one write has at most, unless a line is longer: more
// could be torn apart in a pipe that others write to (PIPE_BUF).
const maxHeld = 4096

// colours are those of spec 40 §8; debug has none.
var colours = map[string]string{"EE": "\x1b[31m", "WW": "\x1b[33m", "II": "\x1b[32m", "PP": "\x1b[34m"}

const resetColour = "\x1b[0m"

func (s *stream) write(level slog.Level, component string, text []byte) error {
	code := levels[index(level)].code
	if component == "" {
		component = s.component
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	line := s.line[:0]
	colour := ""
	if s.colour {
		colour = colours[code]
	}
	line = append(line, colour...)
	line = append(line, "=="...)
	pid := strconv.Itoa(s.pid)
	for i := len(pid); i < 5; i++ {
		line = append(line, '0')
	}
	line = append(line, pid...)
	line = append(line, "== "...)
	line = appendPlain(line, component)
	line = append(line, '(')
	line = append(line, code...)
	line = append(line, "): "...)
	line = append(line, text...)
	if colour != "" {
		line = append(line, resetColour...)
	}
	line = append(line, '\n')
	if cap(line) <= maxHeld {
		s.line = line
	}
	if len(s.held)+len(line) > maxHeld {
		s.flushLocked()
	}
	if s.gather && len(line) < maxHeld {
		s.held = append(s.held, line...)
		return nil
	}
	_, err := s.w.Write(line)
	return err
}

// flush writes what was gathered.
func (s *stream) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushLocked()
}

func (s *stream) flushLocked() {
	if len(s.held) > 0 {
		s.w.Write(s.held) // there is nobody to tell an error
		s.held = s.held[:0]
	}
}
