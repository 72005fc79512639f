// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"sync"
	"time"
)

const (
	// drawEvery and sayEvery are the times between reports of progress: on a
	// terminal, and into a file.
	drawEvery = 500 * time.Millisecond
	sayEvery  = 5 * time.Second
)

// showProgress reports until stop is called.
func (p *program) showProgress() (stop func()) {
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		every, show := sayEvery, p.note.line
		if p.note.terminal() {
			every, show = drawEvery, p.note.draw
		}
		t := time.NewTicker(every)
		defer t.Stop()
		var last sample
		for last.at = time.Now(); ; {
			select {
			case <-over:
				p.note.end()
				return
			case now := <-t.C:
				next := sample{now, p.total.sent.Load(), p.total.received.Load()}
				if next.sent > 0 || next.received > 0 {
					show(next.since(last))
				}
				last = next
			}
		}
	})
	return func() { close(over); wg.Wait() }
}

// sample is the amounts at a time.
type sample struct {
	at             time.Time
	sent, received int64
}

// since returns the amounts, and the rates since an earlier sample.
func (s sample) since(before sample) string {
	seconds := s.at.Sub(before.at).Seconds()
	rate := func(now, then int64) string { return bytesText(int64(float64(now-then)/seconds)) + "/s" }
	return fmt.Sprintf("sent %s (%s), received %s (%s)", bytesText(s.sent), rate(s.sent, before.sent),
		bytesText(s.received), rate(s.received, before.received))
}

// bytesText returns an amount with three digits and a unit, of powers of ten.
func bytesText(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		if v /= 1000; v < 999.5 {
			break
		}
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}
