// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"o7gw/gateway/config"
)

// Change is what a reload did to one object.
type Change struct {
	Object  string // "KIND NAME", or a key
	Action  string // "started", "stopped", "updated", "unchanged", "needs a restart", "failed"
	Details string
}

// Reload applies a new configuration object by object: objects are started,
// stopped and updated, without cutting the sessions of those that stay; what
// cannot change at run time keeps its value, and is reported.
func (g *Gateway) Reload(ctx context.Context, file *config.File) []Change {
	g.ops.Lock()
	defer g.ops.Unlock()
	if g.closed || g.draining {
		return nil
	}
	changes := g.reloadNode(file)
	add := func(object, action, details string) {
		changes = append(changes, Change{object, action, details})
	}
	wishes := g.wishes(file)
	for _, r := range slices.Backward(g.list()) {
		if slices.ContainsFunc(wishes, func(w wish) bool { return w.kind == r.kind && w.name == r.name }) {
			continue
		}
		g.mu.Lock()
		g.objects = slices.DeleteFunc(g.objects, func(o *running) bool { return o == r })
		g.mu.Unlock()
		if err := r.Close(); err != nil {
			add(id(r.kind, r.name), "failed", err.Error())
		} else {
			add(id(r.kind, r.name), "stopped", "")
		}
		if r.object == object(g.names) {
			g.names = nil
		}
	}
	// Before the updates: they make objects read the routes again.
	g.routing.set(file, g.names)
	for _, w := range wishes {
		r := g.find(w.kind, w.name)
		if r == nil {
			if err := g.startLocked(ctx, &w); err != nil {
				add(w.id(), "failed", err.Error())
			} else {
				add(w.id(), "started", "")
			}
			continue
		}
		same := r.unchanged(w.cfg)
		keys := r.update(w.cfg)
		switch {
		case len(keys) > 0:
			add(w.id(), "needs a restart", "for "+strings.Join(keys, ", ")+"; the other keys are applied")
		case same:
			add(w.id(), "unchanged", "")
		default:
			add(w.id(), "updated", "")
		}
	}
	g.mu.Lock()
	g.file = file
	g.mu.Unlock()
	return changes
}

// reloadNode reports what of the node would change, and keeps it as it
// is.
func (g *Gateway) reloadNode(file *config.File) (changes []Change) {
	old := g.file
	if file.IRMd != old.IRMd {
		changes = append(changes, Change{"irmd", "needs a restart", ""})
	}
	if file.RunDir != old.RunDir {
		changes = append(changes, Change{"run_dir", "needs a restart", ""})
	}
	if file.Security != old.Security {
		changes = append(changes, Change{"security_dir", "needs a restart", ""})
	}
	if !reflect.DeepEqual(withoutName(file), withoutName(old)) {
		changes = append(changes, Change{"node", "needs a restart", "the tables of names and IPCPs changed"})
	}
	file.IRMd, file.RunDir, file.Security, file.Node = old.IRMd, old.RunDir, old.Security, old.Node
	return changes
}

// withoutName returns the node's part of the file for a comparison of content:
// it does not matter what the file is called, or on which line a table stands.
func withoutName(f *config.File) any {
	if f.Node == nil {
		return nil
	}
	type ipcp struct{ all string }
	var out []ipcp
	for _, i := range f.Node.IPCPs {
		out = append(out, ipcp{fmt.Sprint(i.Type, i.Name, i.Enroll, i.Config, i.Autobind, i.Register, i.Connect)})
	}
	return []any{out, f.Node.Names}
}
