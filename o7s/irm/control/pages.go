// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"o7gw/o7s/irm"
	"o7gw/o7s/irm/irmpb"
)

// pages distributes the elements of a list over replies of a page each; there
// is always a last one, with more not set.
func pages[T proto.Message](id uint64, elems []T, put func(*irmpb.Reply, T)) []*irmpb.Reply {
	replies := []*irmpb.Reply{{Id: id}}
	size := 0
	for _, e := range elems {
		if size >= pageSize {
			replies[len(replies)-1].More = true
			replies = append(replies, &irmpb.Reply{Id: id})
			size = 0
		}
		put(replies[len(replies)-1], e)
		size += proto.Size(e) + elementOverhead
	}
	return replies
}

// elementOverhead is at most what a list element costs beyond its own size:
// field number and length, in bytes.
const elementOverhead = 6

const (
	// namesPerElement is how many names one element of the list of processes
	// holds; a name is at most 255 bytes.
	namesPerElement = 64
	// pidsPerElement is how many processes one element of the list of names
	// holds.
	pidsPerElement = 1024
)

// nameElements splits a name into elements of which each fits a page: no
// program binding is longer than a request.
func nameElements(n irm.NameInfo) []*irmpb.Name {
	elems := []*irmpb.Name{nameToPB(n)}
	part := func() *irmpb.Name {
		p := &irmpb.Name{Name: []byte(n.Name)}
		elems = append(elems, p)
		return p
	}
	for _, b := range n.Programs {
		part().Programs = []*irmpb.Program{bindingToPB(b)}
	}
	for pids := range slices.Chunk(n.Processes, pidsPerElement) {
		p := part()
		for _, pid := range pids {
			p.Processes = append(p.Processes, int64(pid))
		}
	}
	for _, b := range n.IPCPs {
		part().Ipcps = []*irmpb.Registration{{Ipcp: int64(b.ID), Name: []byte(b.Name)}}
	}
	for _, r := range n.Registered {
		part().Registered = []*irmpb.Registration{{Ipcp: int64(r.IPCP), Name: []byte(r.Name), Hash: []byte(r.Hash)}}
	}
	return elems
}

// processElements splits a process into elements of which each fits a page.
func processElements(i irm.ProcessInfo) []*irmpb.Process {
	base := irmpb.Process{Pid: int64(i.PID), Program: []byte(i.Program), Uid: i.UID, Accepts: int64(i.Accepts), Flows: int64(i.Flows)}
	elems := []*irmpb.Process{&base}
	for names := range slices.Chunk(i.Names, namesPerElement) {
		p := &irmpb.Process{Pid: int64(i.PID)}
		for _, n := range names {
			p.Names = append(p.Names, []byte(n))
		}
		elems = append(elems, p)
	}
	return elems
}
