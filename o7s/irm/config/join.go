// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

const (
	// patience is how long Apply waits for the other members in the layer of an
	// IPCP, as long as nothing has failed.
	patience = 3 * time.Second
	// minPause and maxPause limit the pause before another attempt; it doubles
	// each time, and is drawn up to a quarter shorter or longer.
	minPause = 250 * time.Millisecond
	maxPause = 5 * time.Second
)

// joining is the way of one IPCP into its layer, on a goroutine of its own:
//
//	enrol ─▶ bind, register ─▶ connect to each member
//
// Enrolment is tried until it works; after that, connections are tried one after
// the other, and those that failed again.
type joining struct {
	a    *application
	p    IPCP
	id   int
	late chan struct{} // closed at the first failure that is no mistake of the file
	over chan error    // the end, for Apply; room for one
	// settled is set by whoever comes first: Apply when it leaves, or the end.
	settled atomic.Bool
}

// join brings an IPCP into its layer. It returns when that is done, or as soon
// as the rest is left to the background.
func (a *application) join(ctx context.Context, p IPCP, id int) error {
	j := &joining{a: a, p: p, id: id, late: make(chan struct{}), over: make(chan error, 1)}
	a.running.Add(1)
	if !a.target.Go(func(life context.Context) {
		defer a.running.Done()
		j.run(life)
	}) {
		a.running.Done()
		return layer.ErrIRMd
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-j.over:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-j.late:
	case <-timer.C:
	}
	if j.settled.Swap(true) {
		return <-j.over
	}
	a.waiting++
	return nil
}

func (j *joining) run(life context.Context) {
	ctx, cancel := context.WithCancel(life)
	defer cancel()
	defer context.AfterFunc(j.a.ctx, cancel)()
	err := j.steps(ctx)
	if !j.settled.Swap(true) {
		j.over <- err
	} else if err != nil && ctx.Err() == nil {
		j.a.log.Error(fmt.Sprintf("%s.%s: given up: %v.", j.p.Type, j.p.Name, err))
	}
}

func (j *joining) steps(ctx context.Context) error {
	info, err := j.enroll(ctx)
	if err != nil {
		return err
	}
	j.a.did(fmt.Sprintf("Enrolled IPCP %s in layer %s", j.p.Name, info), nil)
	if err := j.a.publish(ctx, j.p, j.id, info); err != nil {
		return err
	}
	return j.connect(ctx)
}

// enroll returns the name of the layer.
func (j *joining) enroll(ctx context.Context) (layerName string, err error) {
	r := j.attempts("enrolment with " + j.p.Enroll)
	for {
		info, err := j.a.target.Enroll(ctx, j.id, j.p.Enroll)
		if err == nil {
			r.succeeded()
			return info.Layer, nil
		}
		if err := r.failed(ctx, err); err != nil {
			return "", err
		}
		if err := r.pause(ctx); err != nil {
			return "", err
		}
	}
}

// connect makes all connections. One that fails does not keep the others
// waiting, but that the components of one member connect in their order.
func (j *joining) connect(ctx context.Context) error {
	type target struct {
		dst  string
		left []string // components
		*attempts
	}
	var left []*target
	for _, dst := range j.p.Connect {
		left = append(left, &target{dst, irm.Components(j.p.Type), j.attempts("connection to " + dst)})
	}
	for len(left) > 0 {
		var again []*target
		for _, t := range left {
			for len(t.left) > 0 {
				if err := j.a.target.Connect(ctx, j.id, t.dst, t.left[0], qos.Raw); err != nil {
					if err := t.failed(ctx, err); err != nil {
						return err
					}
					again = append(again, t)
					break
				}
				j.a.did(fmt.Sprintf("Connected %s of IPCP %s to %s", t.left[0], j.p.Name, t.dst), nil)
				if t.left = t.left[1:]; len(t.left) == 0 {
					t.succeeded()
				}
			}
		}
		if left = again; len(left) > 0 {
			if err := left[0].pause(ctx); err != nil { // it has tried longest
				return err
			}
		}
	}
	return nil
}

// attempts is a step that is taken until it works. It tells of its first
// failure, and of its success after one.
type attempts struct {
	j     *joining
	what  string
	begin time.Time
	n     int // failures
}

func (j *joining) attempts(what string) *attempts {
	return &attempts{j: j, what: what, begin: time.Now()}
}

// failed returns nil if another attempt makes sense.
func (r *attempts) failed(ctx context.Context, err error) error {
	if hopeless(err) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if r.n++; r.n == 1 {
		r.j.a.log.Warn(fmt.Sprintf("%s.%s: %s failed, trying again until it works: %v.", r.j.p.Type, r.j.p.Name, r.what, err))
	}
	r.j.postpone()
	return nil
}

func (r *attempts) succeeded() {
	if r.n > 0 {
		r.j.a.log.Info(fmt.Sprintf("%s.%s: %s worked after %v.", r.j.p.Type, r.j.p.Name, r.what, time.Since(r.begin).Round(time.Second)))
	}
}

// pause waits before the next attempt.
func (r *attempts) pause(ctx context.Context) error {
	d := min(minPause<<min(r.n-1, 16), maxPause)
	timer := time.NewTimer(d - d/4 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// postpone lets Apply go on without this IPCP.
func (j *joining) postpone() {
	select {
	case <-j.late: // only this goroutine closes it
	default:
		close(j.late)
	}
}

// hopeless reports errors that come from here and do not go away. What peers
// answer looks like any other number, so these are few.
func hopeless(err error) bool {
	for _, e := range []error{layer.ErrIPCPType, layer.ErrIPCPState, layer.ErrNotSupported, irm.ErrNotFound} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
