// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"o7gw/o7s/ipcp/udp/ddns"
	"o7gw/o7s/layer"
)

// What a look-up brought is used for a time that depends on it.
func TestFindingExpires(t *testing.T) {
	some := []endpoint{{port: 1}}
	now := time.Now()
	silence, refusal := error(ddns.ErrUnanswered), error(&ddns.Refusal{})
	for what, c := range map[string]struct {
		before finding
		addrs  []endpoint
		ttl    time.Duration
		err    error

		left int           // addresses
		fail error         // what callers get
		next time.Duration // until the server is asked again
	}{
		"as C's":        {addrs: some, ttl: 24 * time.Hour, left: 1, next: entryTTL},
		"short":         {addrs: some, ttl: 20 * time.Second, left: 1, next: 20 * time.Second},
		"zero":          {addrs: some, left: 1, next: minAnswer},
		"nobody":        {next: noAnswer},
		"gone":          {before: finding{addrs: some, stale: now.Add(time.Hour)}, next: noAnswer},
		"silent":        {err: silence, fail: layer.ErrTimedOut, next: noAnswer},
		"silent, stale": {before: finding{addrs: some, stale: now.Add(1)}, err: silence, left: 1, next: noAnswer},
		"too stale":     {before: finding{addrs: some, stale: now}, err: silence, fail: layer.ErrTimedOut, next: noAnswer},
		"refused":       {before: finding{addrs: some, stale: now.Add(1)}, err: refusal, fail: layer.ErrPermission, next: noAnswer},
	} {
		f := c.before
		f.asking = make(chan struct{})
		f.end(c.addrs, c.ttl, c.err, now)
		if len(f.addrs) != c.left || !errors.Is(f.err, c.fail) || f.expires.Sub(now) != c.next || f.asking != nil {
			t.Errorf("%s: %+v", what, f)
		}
	}
}

// Applications that ask for any number of names do not fill the memory.
func TestFindingsBounded(t *testing.T) {
	r := &resolver{names: make(map[layer.Hash]*finding)}
	now := time.Now()
	for i := range 3 * maxFindings {
		var h [hashLen]byte
		binary.BigEndian.PutUint32(h[:], uint32(i))
		r.makeRoomLocked(now)
		r.names[layer.Hash(h[:])] = &finding{expires: now.Add(time.Duration(i%2) * time.Second)}
	}
	if len(r.names) > maxFindings {
		t.Errorf("%d names", len(r.names))
	}
	r.names[op] = &finding{addrs: []endpoint{{port: 1}, {port: 2}}, expires: now.Add(time.Second)}
	r.failed(op, endpoint{port: 1})
	if f := r.names[op]; len(f.addrs) != 1 || f.expires.IsZero() {
		t.Errorf("after one failed: %+v", f)
	}
	r.failed(op, endpoint{port: 2})
	if f := r.names[op]; len(f.addrs) != 0 || !f.expires.IsZero() {
		t.Errorf("after all failed: %+v", f)
	}
}
