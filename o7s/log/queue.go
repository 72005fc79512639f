// SPDX-License-Identifier: BSD-3-Clause

package log

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// queueLength is how many records wait for a slow sink. What comes beyond
	// is dropped, and the number told when the sink takes records again.
	queueLength = 4096
	// flushTime is how long the end of a Queue waits for its sink.
	flushTime = time.Second
	// gatherTime is how long lines wait for others that share their write, after
	// one that did not: a busy daemon writes several for each flow.
	gatherTime = 4 * time.Millisecond
)

// Queue returns a handler that passes records on to h from a goroutine of its
// own, so that a sink that blocks, such as a pipe that nobody reads, blocks
// nobody who logs. done ends that, after the last record: it waits for what is
// queued, but not for ever. Lines in the Ouroboros format that come faster than
// they are written share writes.
func Queue(h slog.Handler) (queued slog.Handler, done func()) {
	q := &queue{records: make(chan record, queueLength), base: h, ended: make(chan struct{}), flush: func() {}}
	if h, ok := h.(*handler); ok {
		if s, ok := h.out.(*stream); ok {
			s.gather, q.flush, q.rest = true, s.flush, gatherTime
		}
	}
	go q.run()
	return &queueHandler{h, q}, q.close
}

// queue is what the handlers derived from one Queue share.
type queue struct {
	records chan record
	base    slog.Handler
	lost    atomic.Uint64
	ended   chan struct{} // closed when run returns
	flush   func()        // writes lines that were gathered
	rest    time.Duration // after it
}

// record is a record with the handler that renders it. Without one it is the
// last.
type record struct {
	h slog.Handler
	r slog.Record
}

// run passes records on until the last one.
func (q *queue) run() {
	defer close(q.ended)
	defer q.flush()
	for r := range q.records {
		if r.h == nil {
			return
		}
		r.h.Handle(context.Background(), r.r) // there is nobody to tell an error
		if n := q.lost.Swap(0); n > 0 {
			text := fmt.Sprintf("%d log lines were lost: the log was not read.", n)
			q.base.Handle(context.Background(), slog.NewRecord(time.Now(), slog.LevelWarn, text, 0))
		}
		if len(q.records) == 0 {
			q.flush()
			time.Sleep(q.rest)
		}
	}
}

// close ends run, if the sink lets it.
func (q *queue) close() {
	limit := time.After(flushTime)
	select {
	case q.records <- record{}:
	case <-limit:
		return
	}
	select {
	case <-q.ended:
	case <-limit:
	}
}

// queueHandler is a handler whose records go through the queue.
type queueHandler struct {
	h slog.Handler
	q *queue
}

// Enabled reports whether the level is logged now.
func (h *queueHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.h.Enabled(ctx, l) }

// Handle queues one record, or drops it.
func (h *queueHandler) Handle(_ context.Context, r slog.Record) error {
	select {
	case h.q.records <- record{h.h, r.Clone()}:
	default:
		h.q.lost.Add(1)
	}
	return nil
}

// WithAttrs returns a handler that adds attributes to each record.
func (h *queueHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &queueHandler{h.h.WithAttrs(attrs), h.q}
}

// WithGroup returns a handler that puts name in front of later keys.
func (h *queueHandler) WithGroup(name string) slog.Handler {
	return &queueHandler{h.h.WithGroup(name), h.q}
}
