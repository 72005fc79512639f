// SPDX-License-Identifier: BSD-3-Clause

package oep

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/cep/lower"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

func TestEnroll(t *testing.T) {
	for _, m := range []Membership{unicastMembership(), broadcastMembership()} {
		for _, caps := range []cep.Caps{0, cep.CapKeepalive} {
			bubble.Test(t, func(t *testing.T) {
				w := newWorld(t, sim.Params{Delay: time.Millisecond}, m)
				w.caps = caps
				w.serve()
				var asked []uint64
				w.member.Taken = func(a uint64) bool { asked = append(asked, a); return false }
				got, err := w.enroll()
				if err != nil || !same(got, m) || len(w.started) != 1 || !same(w.started[0], m) {
					t.Fatalf("got %+v, %v; started %+v", got, err, w.started)
				}
				time.Sleep(10 * time.Millisecond)
				if w.log.count(enrolledLine) != 1 || w.log.count("") != 1 {
					t.Errorf("log: %q", w.log.lines)
				}
				if len(asked) != 1 || asked[0] != 77 {
					t.Errorf("asked for addresses %v", asked)
				}
			})
		}
	}
}

// The member answers while the components start, however long that takes it.
func TestSlowStart(t *testing.T) {
	in(t, sim.Params{Delay: time.Millisecond}, func(t *testing.T, w *world) {
		w.serve()
		w.enrollee.Start = func(Membership) error {
			if w.log.count("") != 0 {
				t.Error("acknowledged before the start")
			}
			time.Sleep(9 * time.Second)
			return nil
		}
		if _, err := w.enroll(); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Millisecond)
		if w.log.count(enrolledLine) != 1 {
			t.Errorf("log: %q", w.log.lines)
		}
	})
}

func TestStartFails(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		there := w.asMember(prototype)
		failure := errors.New("no memory")
		w.enrollee.Start = func(Membership) error { return failure }
		result := make(chan error)
		go func() {
			_, err := w.enroll()
			result <- err
		}()
		s := <-there
		synctest.Wait()
		lower.Send(s, unhex(t, vectorResponse))
		if err := <-result; !errors.Is(err, failure) {
			t.Errorf("got %v", err)
		}
		if n := len(s.heard()); n != 1 || !s.Ended() {
			t.Errorf("%d messages, flow ended: %v; no acknowledgement may follow", n, s.Ended())
		}
	})
}

// An address that is taken.
func TestTaken(t *testing.T) {
	in(t, sim.Params{Delay: time.Millisecond}, func(t *testing.T, w *world) {
		w.member.Taken = func(a uint64) bool { return a == 77 }
		w.serve()
		if _, err := w.enroll(); !errors.Is(err, ErrTaken) {
			t.Errorf("got %v", err)
		}
		if len(w.started) != 0 {
			t.Error("started with a taken address")
		}
		w.enrollee.Address = 78
		if _, err := w.enroll(); err != nil {
			t.Error(err)
		}
	})
}

// A prototype sees nothing of it.
func TestNoExtensionTowardPrototype(t *testing.T) {
	for ours, want := range map[bool]string{false: vectorRequest, true: vectorRequest + "a0064d"} {
		in(t, sim.Params{}, func(t *testing.T, w *world) {
			hello := prototype
			hello.Ours, hello.Caps = ours, cep.CapKeepalive
			there := w.asMember(hello)
			go w.enroll()
			s := <-there
			if got := s.heard(); len(got) != 1 || got[0] != string(unhex(t, want)) {
				t.Errorf("ours %v: request %x, want %s", ours, got, want)
			}
			s.Close()
			synctest.Wait()
		})
	}
}

// Each of the five packets is lost once. The attempt ends within its limit, and
// the next one works.
func TestDropNth(t *testing.T) {
	limits := []time.Duration{0, time.Second, time.Second, time.Second, time.Second, 0}
	for n, limit := range limits {
		in(t, sim.Params{Delay: time.Millisecond, Drop: lower.Drop(int64(n))}, func(t *testing.T, w *world) {
			w.serve()
			start := time.Now()
			_, err := w.enroll()
			if lost := limit > 0; lost != errors.Is(err, layer.ErrTimedOut) || !lost && err != nil {
				t.Errorf("packet %d lost: %v", n, err)
			}
			if took := time.Since(start); took > limit+10*time.Millisecond {
				t.Errorf("packet %d lost: took %v", n, took)
			}
			if want := map[bool]int{true: 0, false: 1}[limit > 0]; len(w.started) != want {
				t.Errorf("packet %d lost: started %d times", n, len(w.started))
			}
			if _, err := w.enroll(); err != nil {
				t.Errorf("packet %d lost: second attempt: %v", n, err)
			}
			time.Sleep(20 * time.Second) // nothing is left at the member
			want := 2
			if n > 0 {
				want = 1
			}
			if got := w.log.count(enrolledLine); got != want {
				t.Errorf("packet %d lost: %d enrolled: %q", n, got, w.log.lines)
			}
		})
	}
}

// Every packet comes twice.
func TestDuplicates(t *testing.T) {
	in(t, sim.Params{Delay: time.Millisecond, Duplicate: 1}, func(t *testing.T, w *world) {
		w.serve()
		if _, err := w.enroll(); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Millisecond)
		if w.log.count(enrolledLine) != 1 || w.log.count("") != 1 {
			t.Errorf("log: %q", w.log.lines)
		}
	})
}

// What a member may say that is no response. The enrollee starts nothing, sends
// no acknowledgement, and ends the flow at once, or after the second that
// a response may take.
func TestHostileMember(t *testing.T) {
	vector := unhex(t, vectorResponse)
	other := bytes.Clone(vector)
	other[5] ^= 1       // id
	bare := vector[:23] // before the field of the configuration
	list := map[string][]byte{
		"other id":         other,
		"no configuration": bare,
		"refusal":          unhex(t, vectorRefusal),
		"lowest result":    append(unhex(t, vectorRequest), 0x10, 0, 0x18, 0, 0x20, 0x80, 0x80, 0x80, 0x80, 0xf8, 0xff, 0xff, 0xff, 0xff, 1),
		"broadcast":        unhex(t, vectorBroadcast),
		"request":          unhex(t, vectorRequest),
		"garbage":          []byte("this is no response at all"),
		"zeros":            make([]byte, 100),
		"huge":             bytes.Repeat([]byte{0xff}, 1400),
		"long":             append(appendBytes(bytes.Clone(vector), 99, make([]byte, maxMessage-len(vector)-4)), 0), // good but for the last byte
		"nothing":          {},
		"silence":          nil,
	}
	for name, answer := range list {
		t.Run(name, func(t *testing.T) {
			in(t, sim.Params{}, func(t *testing.T, w *world) {
				there := w.asMember(prototype)
				result := make(chan error)
				go func() {
					_, err := w.enroll()
					result <- err
				}()
				s := <-there
				synctest.Wait()
				start := time.Now()
				if answer != nil {
					lower.Send(s, answer)
				}
				err := <-result
				if err == nil || len(w.started) != 0 {
					t.Errorf("enrolled: %v, started %d", err, len(w.started))
				}
				want := time.Duration(0)
				if answer == nil {
					want = time.Second
				}
				if took := time.Since(start); took != want {
					t.Errorf("%v after %v, want %v", err, took, want)
				}
				if n := len(s.heard()); n != 1 || !s.Ended() {
					t.Errorf("sent %d messages, flow ended: %v", n, s.Ended())
				}
			})
		})
	}
}

func TestRefusalHasItsNumber(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		there := w.asMember(prototype)
		go func() {
			s := <-there
			lower.Send(s, response{id: vectorID, time: time.Now(), result: -int32(layer.ErrIPCPState)}.append(nil))
		}()
		if _, err := w.enroll(); !errors.Is(err, layer.ErrIPCPState) {
			t.Errorf("got %v", err)
		}
	})
}

// What an enrollee may say instead of request and acknowledgement. It gets at
// most one answer, and the flow ends.
func TestHostileEnrollee(t *testing.T) {
	request, good, failed := string(unhex(t, vectorRequest)), string(unhex(t, vectorAck)), string(unhex(t, vectorFailed))
	other := "\x0a\x08whoareyo\x10\x00"
	list := map[string]struct {
		says    []string
		answers int
		after   time.Duration
	}{
		"silence":              {nil, 0, time.Second},
		"garbage":              {[]string{"what is this?"}, 0, 0},
		"empty":                {[]string{""}, 0, 0},
		"short id":             {[]string{"\x0a\x03abc"}, 0, 0},
		"huge":                 {[]string{strings.Repeat("x", 1400)}, 0, 0},
		"acknowledgement only": {[]string{good}, 1, ackTimeout}, // has all that a request needs
		"no acknowledgement":   {[]string{request}, 1, ackTimeout},
		"copies of request":    {[]string{request, request, request, request, request, request}, 1, ackTimeout},
		"other":                {[]string{request, other}, 1, 0},
		"failed":               {[]string{request, failed}, 1, 0},
		"huge acknowledgement": {[]string{request, strings.Repeat("x", 1400)}, 1, 0},
		"garbage behind":       {[]string{request, "\xff\xff"}, 1, 0},
	}
	for name, c := range list {
		t.Run(name, func(t *testing.T) {
			in(t, sim.Params{}, func(t *testing.T, w *world) {
				w.serve()
				s := w.asEnrollee()
				start := time.Now()
				lower.Send(s, c.says...)
				ended := make(chan time.Duration, 1)
				go func() {
					for !s.Ended() {
						time.Sleep(time.Millisecond)
					}
					ended <- time.Since(start)
				}()
				if got := <-ended; got < c.after || got > c.after+2*time.Millisecond {
					t.Errorf("ended after %v, want %v", got, c.after)
				}
				if n := len(s.heard()); n != c.answers {
					t.Errorf("%d answers, want %d", n, c.answers)
				}
				if w.log.count("DEBUG enrolment of a member failed") != 1 || w.log.count("") != 1 {
					t.Errorf("log: %q", w.log.lines)
				}
			})
		})
	}
}

// A hundred who say nothing keep nobody waiting (OEP-4).
func TestConcurrency(t *testing.T) {
	in(t, sim.Params{Delay: time.Millisecond}, func(t *testing.T, w *world) {
		w.serve()
		hello := prototype.Append(nil)
		for i := range 100 {
			f, err := w.layer.Host().Allocate(background, "member", qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
			f.Receive(&lower.Reader{})
			if lower.Send(f, hello); i%2 == 0 {
				lower.Send(f, unhex(t, vectorRequest))
			}
		}
		time.Sleep(10 * time.Millisecond)
		start := time.Now()
		if _, err := w.enroll(); err != nil || time.Since(start) != 4*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		time.Sleep(20 * time.Second)
		if w.log.count("DEBUG enrolment of a member failed") != 100 || w.log.count(enrolledLine) != 1 {
			t.Errorf("%d lines", w.log.count(""))
		}
	})
}

// What would harm a prototype is not sent, however it came to be the configuration.
func TestServeBadConfiguration(t *testing.T) {
	long, bare, local := unicastMembership(), unicastMembership(), unicastMembership()
	long.Config.Layer = strings.Repeat("n", 256)
	bare.Config.Unicast = ipcp.UnicastConfig{}
	local.Config.Type = ipcp.Local
	for _, m := range []Membership{long, bare, local, {}} {
		in(t, sim.Params{}, func(t *testing.T, w *world) {
			w.member.Membership = func() Membership { return m }
			w.serve()
			s := w.asEnrollee()
			lower.Send(s, unhex(t, vectorRequest))
			if n := len(s.heard()); n != 0 || !s.Ended() {
				t.Errorf("%d answers, ended: %v", n, s.Ended())
			}
			if w.log.count("ERROR") != 1 {
				t.Errorf("log: %q", w.log.lines)
			}
		})
	}
}

// A difference of the clocks that the round trip does not explain is said.
func TestClocks(t *testing.T) {
	for _, c := range []struct {
		delay, ahead time.Duration
		warnings     int
	}{
		{time.Millisecond, 0, 0},
		{time.Millisecond, 19 * time.Millisecond, 0},
		{time.Millisecond, -19 * time.Millisecond, 0},
		{time.Millisecond, 25 * time.Millisecond, 1},
		{time.Millisecond, -25 * time.Millisecond, 1},
		{100 * time.Millisecond, 0, 0},
		{time.Millisecond, 1 << 62, 1},
		{time.Millisecond, -1 << 62, 1},
	} {
		in(t, sim.Params{Delay: c.delay}, func(t *testing.T, w *world) {
			w.member.Now = func() time.Time { return time.Now().Add(c.ahead) }
			w.serve()
			if _, err := w.enroll(); err != nil {
				t.Error(err)
			}
			if n := w.log.count("WARN clock differs"); n != c.warnings {
				t.Errorf("%v ahead: %d warnings", c.ahead, n)
			}
		})
	}
}

// The end of the context ends either side at once.
func TestContext(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(background)
		done := make(chan bool)
		w.manager(w.layer.Host("member"), func(c *cep.Conn) {
			Serve(ctx, c, w.member)
			close(done)
		})
		s := w.asEnrollee()
		there := w.asMember(prototype)
		m := w.manager(w.layer.Host(), func(*cep.Conn) {})
		c, err := m.Dial(background, "member", cep.Enrollment, qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		result := make(chan error)
		go func() {
			_, err := Enroll(ctx, c, w.enrollee)
			result <- err
		}()
		synctest.Wait()
		start := time.Now()
		cancel()
		<-done
		if err := <-result; !errors.Is(err, context.Canceled) || time.Since(start) != 0 {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		synctest.Wait()
		if !s.Ended() || !(<-there).Ended() {
			t.Error("the flows did not end")
		}
	})
}

func TestNoRandomness(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		w.serve()
		w.enrollee.Rand = strings.NewReader("short")
		if _, err := w.enroll(); err == nil {
			t.Error("enrolled with an id that is not random")
		}
	})
}
