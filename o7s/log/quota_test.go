// SPDX-License-Identifier: BSD-3-Clause

package log

import (
	"testing"
	"time"
)

func TestQuota(t *testing.T) {
	var q Quota
	now := time.Now()
	written := 0
	for range 3 * quotaBurst {
		if ok, _ := q.take(7, now); ok {
			written++
		}
	}
	if written != quotaBurst {
		t.Errorf("%d lines at once", written)
	}
	if ok, _ := q.take(8, now); !ok {
		t.Error("another user feels it")
	}
	if ok, lost := q.take(7, now.Add(quotaPause)); !ok || lost != 2*quotaBurst {
		t.Errorf("later: %v, %d lost", ok, lost)
	}
	if ok, _ := q.take(7, now.Add(quotaPause)); ok {
		t.Error("two lines in one pause")
	}
	for uid := range uint32(5 * quotaUsers) {
		q.take(100+uid, now.Add(time.Duration(uid)*time.Minute))
	}
	if len(q.users) > quotaUsers+1 {
		t.Errorf("%d users kept", len(q.users))
	}
}
