// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ShowProgress shows a line on a terminal, new every second, until stop is
// called, which removes it. Without a terminal it does nothing.
func ShowProgress(w io.Writer, line func() string) (stop func()) {
	if f, ok := w.(*os.File); !ok || !isTerminal(f) {
		return func() {}
	}
	return show(w, time.Second, line)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// clearLine goes to the beginning of the line and clears it.
const clearLine = "\r\x1b[K"

func show(w io.Writer, every time.Duration, line func() string) (stop func()) {
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for drawn := false; ; drawn = true {
			select {
			case <-over:
				if drawn {
					io.WriteString(w, clearLine)
				}
				return
			case <-t.C:
				fmt.Fprintf(w, "%s%s", clearLine, line())
			}
		}
	})
	return func() { close(over); wg.Wait() }
}

// Meter turns a growing total into a rate.
type Meter struct {
	at    time.Time
	total uint64
}

// Rate returns how much the total grew a second since the last call; the first
// call returns 0.
func (m *Meter) Rate(total uint64) float64 {
	now := time.Now()
	last := *m
	m.at, m.total = now, total
	if last.at.IsZero() || total < last.total {
		return 0
	}
	return PerSecond(total-last.total, now.Sub(last.at))
}
