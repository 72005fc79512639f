// SPDX-License-Identifier: BSD-3-Clause

package ipcp

import (
	"sync"

	"o7gw/o7s/layer"
)

// Registry is the set of names registered in one IPC process (spec 10 §4). The
// zero value is empty; methods may be called from several goroutines.
type Registry struct {
	mu    sync.RWMutex
	names map[layer.Hash]struct{} // guarded by mu
}

// Add enters a name; a second time is no error.
func (r *Registry) Add(name layer.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = make(map[layer.Hash]struct{})
	}
	r.names[name] = struct{}{}
}

// Remove forgets a name; an unknown one is no error.
func (r *Registry) Remove(name layer.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.names, name)
}

// Has reports whether the name is registered.
func (r *Registry) Has(name layer.Hash) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.names[name]
	return ok
}

// Len returns the number of names.
func (r *Registry) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.names)
}
