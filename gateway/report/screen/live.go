// SPDX-License-Identifier: BSD-3-Clause

package screen

import (
	"fmt"
	"strings"
	"time"
)

// Sequences of terminals since the VT100 and xterm.
const (
	enter    = "\x1b[?1049h\x1b[?25l\x1b[?7l" // other screen, no cursor, no wrapping
	leave    = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home     = "\x1b[H"
	toEnd    = "\x1b[K"
	below    = "\x1b[J"
	reverse  = "\x1b[7m"
	bold     = "\x1b[1m"
	red      = "\x1b[31m"
	ordinary = "\x1b[m"
)

// above are the lines over those that scroll.
const above = 3

// screen draws the live screen.
func (w *watch) screen(width, height int) string {
	var b strings.Builder
	b.WriteString(home)
	put := func(style, text string) {
		b.WriteString(style + cut(text, width))
		if style != "" {
			b.WriteString(ordinary)
		}
		b.WriteString(toEnd)
	}
	title := fmt.Sprintf(" o7gw %s, every %v | q quits, arrows scroll ", w.at.Format(time.TimeOnly), w.Interval)
	if w.err != nil {
		put(reverse+red, " "+clean(w.err.Error())+", trying again | q quits ")
	} else {
		put(reverse, title)
	}
	total := w.history.Past().Series[0]
	for _, s := range []struct {
		label  string
		values []float32
	}{{"received", total.Rx}, {"sent    ", total.Tx}} {
		b.WriteString("\r\n")
		now := ""
		if last := s.values[len(s.values)-1]; last >= 0 {
			now = Speed(float64(last))
		}
		text := fmt.Sprintf("%s %12s ", s.label, now)
		put("", text+spark(s.values, width-len(text)))
	}
	body := lines(&w.report, w.Sessions)
	room := max(height-above, 0)
	w.offset = max(0, min(w.offset, len(body)-room))
	body = body[w.offset:]
	for _, l := range body[:min(len(body), room)] {
		b.WriteString("\r\n")
		put(map[style]string{plain: "", head: bold, bad: red}[l.style], l.text)
	}
	b.WriteString(below)
	return b.String()
}

// cut leaves what fits into a line.
func cut(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	return string(r[:max(width, 0)])
}

// spark draws the newest values as a row of blocks, of which the highest is the
// greatest.
func spark(values []float32, width int) string {
	blocks := []rune("▁▂▃▄▅▆▇█")
	values = values[max(0, len(values)-max(width, 0)):]
	var top float32
	for _, v := range values {
		top = max(top, v)
	}
	var b strings.Builder
	for _, v := range values {
		switch {
		case v < 0:
			b.WriteByte(' ')
		case top == 0:
			b.WriteRune(blocks[0])
		default:
			b.WriteRune(blocks[int(v/top*float32(len(blocks)-1)+0.5)])
		}
	}
	return b.String()
}

// scroll moves the lines below the head.
func (w *watch) scroll(k key, height int) {
	page := max(height-above-1, 1)
	switch k {
	case keyUp:
		w.offset--
	case keyDown:
		w.offset++
	case keyPageUp:
		w.offset -= page
	case keyPageDown:
		w.offset += page
	case keyTop:
		w.offset = 0
	}
	w.offset = max(w.offset, 0)
}
