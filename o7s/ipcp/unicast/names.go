// SPDX-License-Identifier: BSD-3-Clause

package unicast

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// register makes the name reachable through the layer.
func (p *IPCP) register(_ context.Context, name layer.Hash) error {
	m := p.member.Load()
	m.names.Add(name)
	m.dir.register(name)
	return nil
}

// unregister ends that. Members that have heard of the name refuse nobody, but
// this one does.
func (p *IPCP) unregister(_ context.Context, name layer.Hash) error {
	m := p.member.Load()
	m.names.Remove(name)
	m.dir.unregister(name)
	return nil
}

// query asks the directory.
func (p *IPCP) query(ctx context.Context, name layer.Hash) error {
	_, err := p.member.Load().find(ctx, name)
	return err
}

// findRounds is how often the directory is asked for members to which there is a
// route.
const findRounds = 3

// find returns the addresses of members that serve the name and to which there is a
// route, the latest to register first. Values that lead nowhere, of members that
// have gone or that somebody made up, do not hide others: the directory looks
// farther when it knows that they are wrong.
func (m *member) find(ctx context.Context, name layer.Hash) ([]uint64, error) {
	nowhere := make(map[uint64]bool)
	for range findRounds {
		all, err := m.dir.lookup(ctx, name)
		if err != nil {
			return nil, err
		}
		var near []uint64
		for _, a := range all {
			if m.dt.Reachable(a) {
				near = append(near, a)
			}
		}
		if len(near) > 0 {
			return near, nil
		}
		known := len(nowhere)
		for _, a := range all {
			nowhere[a] = true
			m.dir.forget(name, a)
		}
		if len(nowhere) == known { // there are no others
			break
		}
	}
	if len(nowhere) > 0 {
		return nil, fmt.Errorf("%d members serve the name, but there is no route to any: %w", len(nowhere), layer.ErrNoName)
	}
	return nil, layer.ErrNoName
}

// allocate asks one member after the other that serves the name, in a random
// order: flows spread over those that do.
func (p *IPCP) allocate(ctx context.Context, dst layer.Hash, qs qos.Spec, data []byte) (layer.Port, []byte, error) {
	m := p.member.Load()
	addrs, err := m.find(ctx, dst)
	if err != nil {
		return nil, nil, err
	}
	addrs = slices.Clone(addrs)
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	for _, a := range addrs {
		var port layer.Port
		var answer []byte
		port, answer, err = m.fa.Allocate(ctx, a, dst, qs, data)
		if err == nil {
			return port, answer, nil
		}
		if errors.Is(err, layer.ErrNoAnswer) || errors.Is(err, layer.ErrNoName) {
			m.dir.forget(dst, a) // it has gone, or serves the name no more
		}
		// A member that refuses for another reason has taken the request, so the
		// same piggyback must not go to a second one (spec 30: the OAP id).
		if !errors.Is(err, layer.ErrNoName) {
			break
		}
	}
	return nil, nil, err
}
