// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"time"

	"o7gw/o7s/flow"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/o7s/ring"
)

// Flow is one end of a flow, in the use of one process. A direct flow has
// two of them, each with its id.
type Flow struct {
	p              *Process
	id             int
	name           string
	qs             qos.Spec
	mpl            time.Duration
	server, direct bool
	peer           int
	m              *member // nil for a direct flow
	cause          cause   // who asked for it

	// Guarded by IRM.mu. terms do not change once the flow is allocated.
	terms flow.Terms
	state FlowState
	dead  bool
	wire  wire
	end   *flow.Flow // of a flow that an IPC process uses
}

// wire is what carries the packets of a flow: a port, or one side of a ring.
type wire struct {
	port  layer.Port
	files ring.Files
	ring  bool // files are set and ours to close
	mtu   int
}

func (w wire) close() {
	if w.port != nil {
		w.port.Close()
	}
	if w.ring {
		w.files.Close()
	}
}

// ID returns the id, unique among the flows of the node that exist.
func (f *Flow) ID() int { return f.id }

// Name returns the service name, or that of the broadcast layer.
func (f *Flow) Name() string { return f.name }

// QoS returns what the requester asked for.
func (f *Flow) QoS() qos.Spec { return f.qs }

// MPL returns the maximum packet lifetime of the layer.
func (f *Flow) MPL() time.Duration { return f.mpl }

// Terms returns what both ends know of each other. They are settled before the
// flow is handed out, and hold the key: they are for who uses the flow, and for
// no log.
func (f *Flow) Terms() flow.Terms { return f.terms }

// MTU returns the largest packet, in bytes, that the flow carries.
func (f *Flow) MTU() int {
	f.p.irm.mu.Lock()
	defer f.p.irm.mu.Unlock()
	return f.wire.mtu
}

// Port returns the port through which the flow runs, nil if it is a ring.
func (f *Flow) Port() layer.Port {
	f.p.irm.mu.Lock()
	defer f.p.irm.mu.Unlock()
	return f.wire.port
}

// Ring returns this side's files of a flow between two external processes,
// and passes them to the caller, who closes them after having sent them. It
// reports false if the flow runs through a port, or at a second call.
func (f *Flow) Ring() (ring.Files, bool) {
	f.p.irm.mu.Lock()
	defer f.p.irm.mu.Unlock()
	if f.dead || !f.wire.ring {
		return ring.Files{}, false
	}
	f.wire.ring = false
	return f.wire.files, true
}

// Dealloc ends the flow: it closes its port and frees its id. Idempotent.
func (f *Flow) Dealloc() {
	i := f.p.irm
	i.mu.Lock()
	if f.dead {
		i.mu.Unlock()
		return
	}
	f.dead = true
	i.flows.removeLocked(f.id)
	delete(f.p.flows, f)
	f.dropLocked()
	used := f.state == Allocated
	i.mu.Unlock()
	// Nobody changes the wire of a dead flow.
	if used {
		i.infoBy(f.cause, "Deallocating flow %d for process %d (timeout: 0 s).", f.id, f.p.pid())
	}
	f.wire.close()
	if used {
		i.infoBy(f.cause, "Completed deallocation of flow_id %d by process %d.", f.id, f.p.pid())
	}
}

// addFlowLocked enters a pending flow of a process that is not closed.
func (p *Process) addFlowLocked(s string, qs qos.Spec) *Flow {
	f := &Flow{p: p, name: s, qs: qs, cause: p.cause()}
	p.irm.flows.addLocked(f)
	p.flows[f] = struct{}{}
	return f
}

// carryLocked says which member carries the flow.
func (f *Flow) carryLocked(m *member) {
	f.m = m
	m.flows++
	if u := f.p.member; u != nil {
		u.on[m]++
	}
}

// dropLocked takes it back.
func (f *Flow) dropLocked() {
	if f.m == nil {
		return
	}
	f.m.flows--
	if u := f.p.member; u != nil {
		if u.on[f.m]--; u.on[f.m] == 0 {
			delete(u.on, f.m)
		}
	}
}

func (f *Flow) readyLocked(w wire, t flow.Terms) {
	if f.m != nil {
		t.Layer = f.m.info.Layer
	}
	f.wire, f.terms, f.state = w, t, Allocated
}

// ready makes a pending flow an allocated one. If it was ended meanwhile,
// with its process, it closes the wire.
func (f *Flow) ready(w wire, t flow.Terms) error {
	f.p.irm.mu.Lock()
	if !f.dead {
		f.readyLocked(w, t)
		f.p.irm.mu.Unlock()
		return nil
	}
	f.p.irm.mu.Unlock()
	w.close()
	return ErrDetached
}
