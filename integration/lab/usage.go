// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Usage is what a process holds; a leak shows as growth of one of them.
type Usage struct {
	Descriptors int // open files
	Threads     int
	MemFiles    int   // mapped memory files (memfd)
	Resident    int64 // bytes of memory
}

// Usage reads what the process holds now.
func (p *Proc) Usage() (Usage, error) {
	var u Usage
	dir := fmt.Sprintf("/proc/%d/", p.PID())
	fds, err := os.ReadDir(dir + "fd")
	if err != nil {
		return u, err
	}
	u.Descriptors = len(fds)
	threads, err := os.ReadDir(dir + "task")
	if err != nil {
		return u, err
	}
	u.Threads = len(threads)
	maps, err := os.ReadFile(dir + "maps")
	if err != nil {
		return u, err
	}
	u.MemFiles = strings.Count(string(maps), "/memfd:")
	statm, err := os.ReadFile(dir + "statm")
	if err != nil {
		return u, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		return u, fmt.Errorf("read %sstatm: %w", dir, err)
	}
	u.Resident = resident * int64(os.Getpagesize())
	return u, nil
}

// Processes returns the ids of all processes on the host, also those that
// others started there.
func (h *Host) Processes() ([]int, error) {
	var own unix.Stat_t
	if err := unix.Fstat(int(h.ns), &own); err != nil {
		return nil, fmt.Errorf("look at namespace of host %s: %w", h.Name, err)
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, dir := range all {
		var st unix.Stat_t
		// Processes come and go, and zombies have no namespace.
		if err := unix.Stat(dir+"/ns/net", &st); err != nil {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ESRCH) {
				continue
			}
			return nil, fmt.Errorf("look at %s: %w", dir, err)
		}
		if st.Ino == own.Ino && st.Dev == own.Dev {
			pid, err := strconv.Atoi(filepath.Base(dir))
			if err != nil {
				return nil, err
			}
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
