// SPDX-License-Identifier: BSD-3-Clause

package log

import (
	"sync"
	"time"
)

// A user may cause quotaBurst lines at once, and one per quotaPause after.
const (
	quotaBurst = 1000
	quotaPause = 50 * time.Millisecond
	quotaUsers = 1024 // beyond, users with a full quota are forgotten
)

// Quota limits the lines that each user causes, so that none fills the disk
// or hides what others do. The zero value is ready.
type Quota struct {
	mu    sync.Mutex
	users map[uint32]*quota
}

// quota is that of one user: full at the time full, one line less for each
// quotaPause before.
type quota struct {
	full time.Time
	lost int
}

// Take reports whether a line of the user may be written now, and how many
// were not since the last one that was.
func (q *Quota) Take(uid uint32) (ok bool, lost int) { return q.take(uid, time.Now()) }

func (q *Quota) take(uid uint32, now time.Time) (ok bool, lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.users[uid]
	if u == nil {
		if q.users == nil {
			q.users = make(map[uint32]*quota)
		}
		if len(q.users) >= quotaUsers {
			for id, u := range q.users {
				if u.lost == 0 && u.full.Before(now) {
					delete(q.users, id)
				}
			}
		}
		u = new(quota)
		q.users[uid] = u
	}
	if u.full.Before(now) {
		u.full = now
	}
	if u.full.Sub(now) > (quotaBurst-1)*quotaPause {
		u.lost++
		return false, 0
	}
	u.full = u.full.Add(quotaPause)
	lost, u.lost = u.lost, 0
	return true, lost
}
