// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"o7gw/gateway/report"
)

// Sample is the report of a moment.
type Sample struct {
	Time   int64         `json:"time"` // Unix time, ms
	Report report.Report `json:"report"`
}

// live hands each sample to the readers.
type live struct {
	first chan struct{} // closed when there is a sample

	mu      sync.Mutex
	newest  *Sample // never changed, only replaced
	readers map[*reader]struct{}
}

// reader is one live stream.
type reader struct{ next chan []byte } // room for one event

func newLive() *live { return &live{first: make(chan struct{}), readers: map[*reader]struct{}{}} }

// join adds a reader, nil if there are enough.
func (l *live) join() *reader {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.readers) >= maxReaders {
		return nil
	}
	r := &reader{next: make(chan []byte, 1)}
	l.readers[r] = struct{}{}
	return r
}

func (l *live) leave(r *reader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.readers, r)
}

// publish hands the sample to all readers; one that has not taken the last one
// misses that.
func (l *live) publish(s *Sample) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.newest == nil {
		defer close(l.first)
	}
	l.newest = s
	if len(l.readers) == 0 {
		return nil
	}
	b, err := event("now", s)
	if err != nil {
		return err
	}
	for r := range l.readers {
		select {
		case <-r.next:
		default:
		}
		r.next <- b
	}
	return nil
}

// event writes one server-sent event. JSON has no line ends in it.
func event(name string, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(b) > maxSample {
		return nil, fmt.Errorf("%d bytes in one event", len(b))
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, b), nil
}

// sample asks the gateway again and again.
func (s *Server) sample() {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	var meter report.Meter
	for {
		now := time.Now()
		sample := &Sample{Time: now.UnixMilli(), Report: s.source()}
		meter.Measure(now, &sample.Report)
		s.history.Add(now, &sample.Report)
		newest(&sample.Report, maxShown)
		if err := s.live.publish(sample); err != nil {
			s.log.Debug("a sample was not sent", "err", err)
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// newest leaves only the n newest sessions in a report.
func newest(r *report.Report, n int) {
	var ages []time.Duration
	for i := range r.Objects {
		for j := range r.Objects[i].Book.Sessions {
			ages = append(ages, r.Objects[i].Book.Sessions[j].Age)
		}
	}
	if len(ages) <= n {
		return
	}
	slices.SortFunc(ages, cmp.Compare)
	for i := range r.Objects {
		list := r.Objects[i].Book.Sessions // the newest first
		keep := 0
		for keep < len(list) && list[keep].Age < ages[n] {
			keep++
		}
		r.Objects[i].Book.Sessions = list[:keep]
	}
}

// events is /events.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy in between shall pass events on at once
	if r.Method == http.MethodHead {
		return
	}
	me := s.live.join()
	if me == nil {
		h.Set("Retry-After", "10")
		h.Del("Content-Type")
		http.Error(w, "Too many live pages are open.", http.StatusServiceUnavailable)
		return
	}
	defer s.live.leave(me)
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{}) // the request was read
	past, err := event("past", s.history.Past())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	first := append([]byte("retry: 2000\n\n"), past...)
	if now := s.now(); now != nil {
		if b, err := event("now", now); err == nil {
			first = append(first, b...)
		}
	}
	for b := first; ; {
		control.SetWriteDeadline(time.Now().Add(eventLimit))
		if _, err := w.Write(b); err != nil {
			return
		}
		if control.Flush() != nil {
			return
		}
		select {
		case b = <-me.next:
		case <-r.Context().Done():
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// now returns the newest sample, nil if there is none yet.
func (s *Server) now() *Sample {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	return s.live.newest
}

// status is /api/status.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	select {
	case <-s.live.first:
	case <-r.Context().Done():
		return
	case <-s.ctx.Done():
		return
	}
	answer(w, s.now().Report)
}

// past is /api/past.
func (s *Server) past(w http.ResponseWriter, _ *http.Request) { answer(w, s.history.Past()) }

func answer(w http.ResponseWriter, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(b.Bytes())
}
