// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"cmp"
	"container/heap"
	"slices"
)

// flowTable gives each flow the lowest free id, from 1. The zero value is
// ready; it is guarded by IRM.mu.
type flowTable struct {
	byID map[int]*Flow
	free intHeap // ids below next that are free
	next int     // lowest id never used, less one
}

func (t *flowTable) addLocked(f *Flow) {
	if len(t.free) > 0 {
		f.id = heap.Pop(&t.free).(int)
	} else {
		t.next++
		f.id = t.next
	}
	if t.byID == nil {
		t.byID = make(map[int]*Flow)
	}
	t.byID[f.id] = f
}

func (t *flowTable) removeLocked(id int) {
	delete(t.byID, id)
	heap.Push(&t.free, id)
}

// intHeap is a heap of integers for container/heap.
type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// ListFlows returns the flows by id.
func (i *IRM) ListFlows() []FlowInfo {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := make([]FlowInfo, 0, len(i.flows.byID))
	for _, f := range i.flows.byID {
		list = append(list, f.infoLocked())
	}
	slices.SortFunc(list, func(a, b FlowInfo) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (f *Flow) infoLocked() FlowInfo {
	info := FlowInfo{
		ID: f.id, Name: f.name, PID: f.p.info.PID, UID: f.p.info.Creds.UID, Server: f.server, Direct: f.direct,
		Peer: f.peer, State: f.state, QoS: f.qs, MPL: f.mpl, MTU: f.wire.mtu,
		Cipher: f.terms.Cipher, PeerName: f.terms.Peer,
	}
	if f.m != nil {
		info.IPCP = f.m.id
	}
	if u := f.p.member; u != nil {
		info.User = u.id
	}
	return info
}
