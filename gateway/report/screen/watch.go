// SPDX-License-Identifier: BSD-3-Clause

package screen

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"o7gw/gateway/report"
)

// Options say how Watch shows reports.
type Options struct {
	Interval time.Duration // between reports; 0: a second
	Sessions int           // how many are shown, the newest
	// Fetch returns the report of the moment.
	Fetch func(ctx context.Context) (report.Report, error)
}

// past is how many reports the line of the last rates goes back at most.
const past = 300

// Watch shows reports until ctx ends or, in a terminal, somebody presses q or
// Ctrl-C; that is no error. A terminal is left as it was. Anything else gets
// the text of one report after the other. The first error of Fetch is returned; in
// a terminal later ones are shown, since a gateway may come back.
func Watch(ctx context.Context, out io.Writer, o Options) error {
	if o.Interval <= 0 {
		o.Interval = time.Second
	}
	w := &watch{Options: o, history: report.NewHistory(past)}
	if err := w.next(ctx); err != nil {
		return err
	}
	if f, ok := out.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		if t, err := openTerminal(f); err == nil {
			defer t.close()
			return w.live(ctx, t)
		}
	}
	return w.text(ctx, out)
}

type watch struct {
	Options
	meter   report.Meter
	history *report.History
	report  report.Report
	at      time.Time // of the report
	err     error     // of the last Fetch
	offset  int       // lines that the live screen has scrolled
}

// next takes the next report.
func (w *watch) next(ctx context.Context) error {
	r, err := w.Fetch(ctx)
	w.err = err
	if err != nil {
		return err
	}
	w.report, w.at = r, time.Now()
	w.meter.Measure(w.at, &w.report)
	w.history.Add(w.at, &w.report)
	return nil
}

// text writes one report after the other.
func (w *watch) text(ctx context.Context, out io.Writer) error {
	tick := time.NewTicker(w.Interval)
	defer tick.Stop()
	for {
		if _, err := fmt.Fprintf(out, "--- %s\n", w.at.Format(time.TimeOnly)); err != nil {
			return err
		}
		if err := Text(out, &w.report, w.Sessions); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := w.next(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// live redraws the screen for each report, key and size.
func (w *watch) live(ctx context.Context, t *terminal) error {
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	tick := time.NewTicker(w.Interval)
	defer tick.Stop()
	for {
		width, height := t.size()
		if err := t.draw(w.screen(width, height)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case k, ok := <-t.keys:
			if !ok || k == keyQuit {
				return nil
			}
			w.scroll(k, height)
		case <-resized:
		case <-tick.C:
			if w.next(ctx); ctx.Err() != nil {
				return nil
			}
		}
	}
}
