// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"slices"
	"sync"
	"time"
)

// maxSeries bounds the objects that a History follows; the total comes first
// and is always there.
const maxSeries = 256

// History keeps the rates of the last reports, for plots. Its methods may be
// called at the same time.
type History struct {
	max int

	mu     sync.Mutex
	times  []int64 // Unix time, ms
	series []Series
}

// Series is what one object did, a value for each time; rates are bytes/s, and
// -1 stands where nothing is known. The first Series of a History is the total.
type Series struct {
	Kind string    `json:"kind"`
	Name string    `json:"name"`
	Rx   []float32 `json:"rx"`
	Tx   []float32 `json:"tx"`
	Open []int32   `json:"open"` // sessions
}

// Past is a copy of a History.
type Past struct {
	Times  []int64  `json:"times"` // Unix time, ms
	Series []Series `json:"series"`
}

// NewHistory returns a History of at most max reports.
func NewHistory(max int) *History {
	return &History{max: max, series: []Series{{Kind: "total"}}}
}

// Add takes the rates of a measured report.
func (h *History) Add(now time.Time, r *Report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.times = push(h.times, now.UnixMilli(), h.max)
	h.series[0].push(r.Totals.Rate, r.Totals.Open, h.max)
	seen := make(map[string]*Object, len(r.Objects))
	for i := range r.Objects {
		seen[r.Objects[i].ID()] = &r.Objects[i]
	}
	for i := 1; i < len(h.series); i++ {
		s := &h.series[i]
		id := (&Object{Kind: s.Kind, Name: s.Name}).ID()
		if o := seen[id]; o != nil {
			s.push(o.Rate, o.Book.Open, h.max)
			delete(seen, id)
		} else {
			s.push(nil, -1, h.max)
		}
	}
	h.series = slices.DeleteFunc(h.series, func(s Series) bool { return s.Kind != "total" && s.gone() })
	for i := range r.Objects {
		o := &r.Objects[i]
		if seen[o.ID()] == nil || len(h.series) >= maxSeries {
			continue
		}
		s := Series{Kind: o.Kind, Name: o.Name}
		for range len(h.times) - 1 {
			s.push(nil, -1, h.max)
		}
		s.push(o.Rate, o.Book.Open, h.max)
		h.series = append(h.series, s)
	}
}

func (s *Series) push(r *Rate, open, max int) {
	rx, tx := float32(-1), float32(-1)
	if r != nil {
		rx, tx = float32(r.Rx), float32(r.Tx)
	}
	s.Rx, s.Tx, s.Open = push(s.Rx, rx, max), push(s.Tx, tx, max), push(s.Open, int32(open), max)
}

// gone reports whether the object was in none of the reports.
func (s *Series) gone() bool {
	return !slices.ContainsFunc(s.Open, func(n int32) bool { return n >= 0 })
}

// push appends to a list of at most max, from which the oldest falls.
func push[T any](list []T, v T, max int) []T {
	if len(list) < max {
		return append(list, v)
	}
	copy(list, list[1:])
	list[max-1] = v
	return list
}

// Past returns a copy.
func (h *History) Past() Past {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := Past{Times: append([]int64{}, h.times...)}
	for _, s := range h.series {
		s.Rx, s.Tx, s.Open = slices.Clone(s.Rx), slices.Clone(s.Tx), slices.Clone(s.Open)
		p.Series = append(p.Series, s)
	}
	return p
}
