// SPDX-License-Identifier: BSD-3-Clause

package security

import (
	"errors"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// stamp tells one state of a file from another. The time of the last change of
// the inode is there since the one of the content can be set at will.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
	mode         uint32
}

// settle is for how long two changes of a file may bear the same time: clocks
// of file systems have the granularity of a timer tick.
const settle = 50 * time.Millisecond

// settled reports whether a file that is read now cannot change unnoticed. If
// not, what was read may be used but not kept.
func (s *stamp) settled() bool {
	age := time.Since(time.Unix(s.ctime.Unix()))
	return age > settle || age < -settle
}

// look returns the state of what a path leads to; ok is false if there is
// nothing. A symbolic link that leads nowhere is an error: somebody meant a
// file to be there.
func look(path string) (s stamp, ok bool, err error) {
	var st unix.Stat_t
	err = unix.Lstat(path, &st)
	if err == unix.ENOENT {
		return s, false, nil
	}
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		if err = unix.Stat(path, &st); err == unix.ENOENT {
			err = errors.New("a symbolic link that leads nowhere")
		}
	}
	if err != nil {
		return s, false, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return stamp{uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim, st.Mode}, true, nil
}

// lookAt is look for a file that may be nowhere, or must be there.
func lookAt(p place) (s stamp, ok bool, err error) {
	if p.path == "" {
		return s, false, nil
	}
	if s, ok, err = look(p.path); err == nil && !ok && p.must {
		err = &fs.PathError{Op: "stat", Path: p.path, Err: fs.ErrNotExist}
	}
	return s, ok, err
}

// there reports whether a path leads to something, or may do so. It spares the
// looks at what would be below.
func there(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) != unix.ENOENT
}
