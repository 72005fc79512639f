// SPDX-License-Identifier: BSD-3-Clause

package security

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"o7gw/o7s/pki"
)

// trustStore keeps the certificates of CAs up to date. A new or removed file
// changes its directory, which is looked at every time; a file that is
// overwritten does not, so the files are looked at too, but not more often than
// once in recheck.
type trustStore struct {
	dir string
	log *slog.Logger

	mu      sync.Mutex // also while reading: one reads, the others wait for it
	store   *pki.Store // nil: empty
	loaded  bool
	dirs    [2]stamp // zero if missing
	files   map[string]stamp
	checked time.Time // when the files were looked at
	told    string    // the last complaint
}

const recheck = time.Second

// current returns the store, nil if it is empty. Files that are of no use are
// logged; what they vouch for is refused, since nothing else does.
func (t *trustStore) current() *pki.Store {
	t.mu.Lock()
	defer t.mu.Unlock()
	var dirs [2]stamp
	for i, d := range []string{pki.DirCA, pki.DirUntrusted} {
		dirs[i], _, _ = look(t.dir + "/" + d) // an error shows when it is read
	}
	if t.loaded && dirs == t.dirs && (time.Since(t.checked) < recheck || t.unchangedLocked()) {
		return t.store
	}
	t.files = t.stampsLocked()
	store, err := pki.LoadStore(t.dir)
	if store.Len() == 0 {
		store = nil
	}
	t.store, t.dirs, t.checked = store, dirs, time.Now()
	t.loaded = true
	for _, s := range slices.AppendSeq(dirs[:], maps.Values(t.files)) {
		t.loaded = t.loaded && (s == stamp{} || s.settled())
	}
	t.complainLocked(err)
	return store
}

// complainLocked logs what is wrong, once.
func (t *trustStore) complainLocked(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != t.told {
		t.log.Warn("Some CA certificates cannot be used", "error", err)
	}
	t.told = text
}

// stampsLocked returns the state of all files of the store.
func (t *trustStore) stampsLocked() map[string]stamp {
	stamps := map[string]stamp{}
	for _, d := range []string{pki.DirCA, pki.DirUntrusted} {
		entries, _ := os.ReadDir(filepath.Join(t.dir, d)) // LoadStore tells of errors
		for _, e := range entries {
			path := filepath.Join(t.dir, d, e.Name())
			stamps[path], _, _ = look(path)
		}
	}
	return stamps
}

// unchangedLocked looks at the files that were loaded.
func (t *trustStore) unchangedLocked() bool {
	t.checked = time.Now()
	for path, was := range t.files {
		if now, _, _ := look(path); now != was {
			return false
		}
	}
	return true
}
