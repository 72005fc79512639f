// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package routes

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// namespaceLock is the lock on the network namespace of the process.
type namespaceLock struct {
	f  *os.File
	id uint64 // of the namespace
}

// lockPatience is how long others may hold the namespace: they need
// milliseconds, but anybody may take the lock.
const lockPatience = 5 * time.Second

// lockNamespace locks the network namespace of the calling thread.
func lockNamespace() (*namespaceLock, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("lock network namespace: %w", err)
	}
	for since := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) || time.Since(since) > lockPatience {
			break
		}
	}
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstat(int(f.Fd()), &st)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock network namespace: %w", err)
	}
	return &namespaceLock{f, st.Ino}, nil
}

func (l *namespaceLock) unlock() { l.f.Close() }
