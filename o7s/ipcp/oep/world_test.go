// SPDX-License-Identifier: BSD-3-Clause

package oep

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/cep/lower"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/qos"
)

var background = context.Background()

// world is a layer below with a member and an enrollee, in a synctest bubble. It
// ends with the test.
type world struct {
	t        *testing.T
	layer    *lower.Layer
	log      journal // of both
	caps     cep.Caps
	member   Member
	enrollee Enrollee
	started  []Membership // by Start
}

// newWorld returns a world of ours.
func newWorld(t *testing.T, p sim.Params, m Membership) *world {
	w := &world{t: t, layer: lower.New(1, p), caps: cep.CapKeepalive}
	t.Cleanup(w.layer.Close)
	log := slog.New(&w.log)
	w.member = Member{Membership: func() Membership { return m }, Taken: func(uint64) bool { return false }, Now: time.Now, Log: log}
	w.enrollee = Enrollee{
		Type: m.Config.Type, Address: 77, Now: time.Now, Rand: counter{}, Log: log,
		Start: func(m Membership) error {
			w.started = append(w.started, m)
			return nil
		},
	}
	return w
}

// counter is a source of the bytes 1, 2, 3…
type counter struct{}

func (counter) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(i + 1)
	}
	return len(b), nil
}

func (w *world) info() cep.Info {
	return cep.Info{Component: cep.Enrollment, Protocol: "OEP", Version: 1, Caps: w.caps}
}

// serve makes a host with the member's side.
func (w *world) serve() {
	w.manager(w.layer.Host("member"), func(c *cep.Conn) { Serve(background, c, w.member) })
}

func (w *world) manager(below ipcp.Below, accept func(*cep.Conn)) *cep.Manager {
	m := cep.New(cep.Config{Below: below, Log: slog.New(slog.DiscardHandler)})
	m.Add(cep.Component{Info: w.info, Accept: accept})
	m.Start()
	w.t.Cleanup(func() { m.Close() })
	return m
}

// enroll makes one attempt of the enrollee's side.
func (w *world) enroll() (Membership, error) {
	m := cep.New(cep.Config{Below: w.layer.Host(), Log: slog.New(slog.DiscardHandler)})
	defer m.Close()
	m.Add(cep.Component{Info: w.info, Accept: func(c *cep.Conn) { c.Close() }})
	c, err := m.Dial(background, "member", cep.Enrollment, qos.Raw)
	if err != nil {
		return Membership{}, err
	}
	return Enroll(background, c, w.enrollee)
}

// side is a flow of the layer below in the hands of the test, which has seen
// the CEP message of the other.
type side struct {
	ipcp.Flow
	lower.Reader
}

// heard returns what came behind the CEP message.
func (s *side) heard() []string {
	synctest.Wait()
	return s.Got()[1:]
}

// asEnrollee makes a flow to the member, and says the CEP message, that of a prototype.
func (w *world) asEnrollee() *side {
	w.t.Helper()
	f, err := w.layer.Host().Allocate(background, "member", qos.Raw)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &side{Flow: f}
	f.Receive(&s.Reader)
	lower.Send(f, prototype.Append(nil))
	synctest.Wait()
	if len(s.Got()) != 1 {
		w.t.Fatalf("CEP answer: %q", s.Got())
	}
	return s
}

// prototype is the CEP message of one.
var prototype = cep.Info{Component: cep.Enrollment, Protocol: "OEP", Version: 1}

// asMember takes one flow in the member's place, and answers the CEP message
// with the given one.
func (w *world) asMember(hello cep.Info) <-chan *side {
	host := w.layer.Host("member")
	got := make(chan *side, 1)
	go func() {
		f, err := host.Accept(background)
		if err != nil {
			w.t.Error(err)
			return
		}
		s := &side{Flow: f}
		f.Receive(&s.Reader)
		lower.Send(f, hello.Append(nil))
		got <- s
	}()
	return got
}

// journal collects log lines.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j *journal) WithGroup(string) slog.Handler            { return j }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	line := fmt.Sprintf("%v %s", r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	j.lines = append(j.lines, line)
	return nil
}

// count returns how many lines begin so.
func (j *journal) count(prefix string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(j.lines), func(l string) bool { return !strings.HasPrefix(l, prefix) }))
}

const enrolledLine = "DEBUG enrolled a member"

// in runs a test in a bubble with a world of a unicast layer.
func in(t *testing.T, p sim.Params, f func(t *testing.T, w *world)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) { f(t, newWorld(t, p, unicastMembership())) })
}
