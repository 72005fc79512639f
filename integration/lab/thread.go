// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/vishvananda/netns"
)

// One thread of its own does everything that happens in another namespace. It
// lives as long as the process, because children ask the kernel to be killed
// when the thread that started them ends (Pdeathsig).
var thread = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

// inThread runs f on that thread and puts it back into the namespace of the
// process afterwards.
func inThread(f func() error) error {
	done := make(chan error, 1)
	thread() <- func() {
		home, err := netns.Get()
		if err != nil {
			done <- fmt.Errorf("get own namespace: %w", err)
			return
		}
		defer home.Close()
		err = f()
		if back := netns.Set(home); back != nil {
			panic("lab: cannot return to the own namespace: " + back.Error())
		}
		done <- err
	}
	return <-done
}

// Do runs f in the host: sockets that it opens, and processes that it starts,
// belong there. It must not leave work to other goroutines.
func (h *Host) Do(f func() error) error {
	return inThread(func() error {
		if err := netns.Set(h.ns); err != nil {
			return fmt.Errorf("enter host %s: %w", h.Name, err)
		}
		return f()
	})
}
