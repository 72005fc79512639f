// SPDX-License-Identifier: BSD-3-Clause

package ring

import "time"

// epoch makes deadlines fit into an atomic word: nanoseconds since it, on the
// monotonic clock. 0 means none.
var epoch = time.Now()

func now() int64 { return int64(time.Since(epoch)) }

func clockOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	d := int64(t.Sub(epoch))
	if d == 0 {
		d = -1
	}
	return d
}

func timeOf(d int64) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return epoch.Add(time.Duration(d))
}
