// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// path is the way between two ends. Time is counted in packets sent.
type path struct {
	ends   [2]end
	random *rand.Rand
	toB    float64    // share of packets that go from the first end to the second
	loss   [2]float64 // from the first end, from the second
	jitter int        // by how many packets sent one may be late
	now    int
	flying [2]map[int][][]byte // by the end they come from and the time of arrival
	failed [2]int              // packets that arrived and were not opened, by receiver
	opened [2]int
	hurry  int // packets that a prototype did not open as it rotated twice meanwhile
	sent   uint64
}

func newPath(random *rand.Rand, a, b end, toB float64, loss [2]float64, jitter int) *path {
	return &path{
		ends: [2]end{a, b}, random: random, toB: toB, loss: loss, jitter: jitter,
		flying: [2]map[int][][]byte{{}, {}},
	}
}

// step sends a packet and delivers those that are due.
func (p *path) step(t *testing.T) {
	from := 0
	if p.random.Float64() >= p.toB {
		from = 1
	}
	plain := binary.BigEndian.AppendUint64(nil, p.sent)
	p.sent++
	sealed := p.ends[from].seal(plain)
	if p.random.Float64() >= p.loss[from] {
		at := p.now + p.random.IntN(p.jitter+1)
		p.flying[from][at] = append(p.flying[from][at], append(sealed, plain...))
	}
	p.deliver(t)
}

func (p *path) deliver(t *testing.T) {
	for from := range p.flying {
		to := 1 - from
		for _, b := range p.flying[from][p.now] {
			sealed, want := b[:len(b)-8], b[len(b)-8:]
			plain, ok := p.ends[to].open(sealed)
			switch {
			case !ok:
				if c, isC := p.ends[to].(*prototype); isC && c.hurried(2*p.jitter) {
					p.hurry++
					continue
				}
				p.failed[to]++
			case !bytes.Equal(plain, want):
				t.Fatalf("opened %x, want %x", plain, want)
			default:
				p.opened[to]++
			}
		}
		delete(p.flying[from], p.now)
	}
	p.now++
}

const testEpoch = 256

// A prototype that sends less than a tenth tells us of its new key too late, for
// epochs as short as these: see TestSeldom.
var traffic = []struct {
	name string
	toB  float64
}{{"one way", 1}, {"other way", 0}, {"both", 0.5}, {"mostly one way", 0.9}, {"mostly other way", 0.1}}

// No packet that arrives fails to decrypt, between our ends and the
// prototype's, whatever is lost or late, through some hundred epochs.
func TestRotation(t *testing.T) {
	const packets = 20000
	peers := map[string]func(*testing.T, *rand.Rand) (a, b end){
		"prototype": func(t *testing.T, r *rand.Rand) (a, b end) {
			return boxEnd{newBox(t, Config{Cipher: AES256GCM, Epoch: testEpoch})}, newPrototype(t, r, testEpoch)
		},
		"ours": func(t *testing.T, r *rand.Rand) (a, b end) {
			client, server := ends(t, AES256GCM, true, testEpoch)
			return boxEnd{client}, boxEnd{server}
		},
		"ours, not announced": func(t *testing.T, r *rand.Rand) (a, b end) {
			client, server := ends(t, AES256GCM, false, testEpoch)
			return boxEnd{client}, boxEnd{server}
		},
	}
	for peer, make := range peers {
		for i, tr := range traffic {
			for j, loss := range []float64{0, 0.01, 0.1} {
				t.Run(fmt.Sprintf("%s/%s/loss %v", peer, tr.name, loss), func(t *testing.T) {
					t.Parallel()
					random := rand.New(rand.NewPCG(uint64(i), uint64(j)))
					a, b := make(t, random)
					p := newPath(random, a, b, tr.toB, [2]float64{loss, loss * random.Float64()}, 30)
					for range packets {
						p.step(t)
					}
					if p.failed != [2]int{} {
						t.Errorf("not opened %v, opened %v; %+v", p.failed, p.opened, a.(boxEnd).Stats())
					}
					if p.hurry > packets/1000 {
						t.Errorf("the prototype did not open %d", p.hurry)
					}
					if p.opened[0]+p.opened[1] < packets*8/10 {
						t.Errorf("only %v were opened", p.opened)
					}
					// A prototype that only receives waits for us; of ours that hear
					// nothing the sender waits long. All others rotate all the time.
					least := uint64(packets / testEpoch / (ownEpochs + 1))
					if tr.toB == 1 || tr.toB == 0 {
						least = packets / testEpoch / (blindEpochs + 1)
					}
					if s := a.(boxEnd).Stats(); s.Rotations < least {
						t.Errorf("only %d rotations, want %d", s.Rotations, least)
					}
				})
			}
		}
	}
}

// Two who rotate away from the same key at the same time do it once.
func TestRotateOnce(t *testing.T) {
	b := newBox(t, Config{Cipher: AES256GCM})
	c := b.chain.Load()
	b.rotate(c)
	after := b.chain.Load()
	b.rotate(c)
	b.replace(c, c.withoutPrev())
	if b.chain.Load() != after || after.index != 1 || b.Stats().Rotations != 1 {
		t.Errorf("index %d, %+v", b.chain.Load().index, b.Stats())
	}
}

// The model of the prototype does what was seen of it: two of them stay
// together without loss, and lose each other with it.
func TestPrototypeModel(t *testing.T) {
	for _, c := range []struct {
		loss   float64
		jitter int
		dies   bool
	}{{0, 20, false}, {0.01, 20, true}} {
		random := rand.New(rand.NewPCG(1, 2))
		a, b := newPrototype(t, random, 1024), newPrototype(t, random, 1024)
		p := newPath(random, a, b, 0.5, [2]float64{c.loss, c.loss}, c.jitter)
		for range 20 * 1024 {
			p.step(t)
		}
		if died := p.failed[0]+p.failed[1] > 1000; died != c.dies {
			t.Errorf("loss %v: not opened %v, opened %v", c.loss, p.failed, p.opened)
		}
		if a.rotations < 5 {
			t.Errorf("loss %v: %d rotations", c.loss, a.rotations)
		}
	}
}

// A prototype that rotates and then says nothing for half an epoch forgets the
// key that we still have to use, and may rotate once more. The flow recovers when
// it speaks.
func TestSeldom(t *testing.T) {
	suffered := 0
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 4))
		ours := newBox(t, Config{Cipher: AES256GCM, Epoch: testEpoch})
		p := newPath(random, boxEnd{ours}, newPrototype(t, random, testEpoch), 0.98, [2]float64{}, 10)
		for range 200 * testEpoch {
			p.step(t)
		}
		suffered += p.failed[1]
		p.toB = 0.5
		for range testEpoch {
			p.step(t)
		}
		p.failed = [2]int{}
		for range 20 * testEpoch {
			p.step(t)
		}
		if p.failed != [2]int{} {
			t.Errorf("seed %d: not opened for good: %v; %+v", seed, p.failed, ours.Stats())
		}
	}
	if suffered == 0 {
		t.Error("the prototype opened all, so nothing was tested")
	}
}

// A flow survives that nothing passes, in one direction or both, for many
// epochs. What arrives meanwhile on a flow of ours is opened.
func TestOutage(t *testing.T) {
	for _, c := range []struct {
		name   string
		loss   [2]float64
		epochs int
		peer   func(*testing.T, *rand.Rand) (a, b end)
		before int // failures after the outage that are allowed
	}{
		{"ours, to the peer", [2]float64{1, 0}, 50, nil, 0},
		{"ours, from the peer", [2]float64{0, 1}, 50, nil, 0},
		{"ours, both", [2]float64{1, 1}, 50, nil, 0},
		{"ours, very long", [2]float64{1, 1}, 300, nil, 500},
		{"prototype", [2]float64{1, 1}, 3, func(t *testing.T, r *rand.Rand) (a, b end) {
			return boxEnd{newBox(t, Config{Cipher: AES256GCM, Epoch: testEpoch})}, newPrototype(t, r, testEpoch)
		}, 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(2) {
				random := rand.New(rand.NewPCG(seed, 3))
				var a, b end
				if c.peer != nil {
					a, b = c.peer(t, random)
				} else {
					client, server := ends(t, AES256GCM, true, testEpoch)
					a, b = boxEnd{client}, boxEnd{server}
				}
				p := newPath(random, a, b, 0.7, c.loss, 10) // so that one end gets further than the other
				for range c.epochs * testEpoch {
					p.step(t)
				}
				if p.failed != [2]int{} {
					t.Fatalf("seed %d: not opened while nothing came back: %v, opened %v", seed, p.failed, p.opened)
				}
				p.loss, p.toB = [2]float64{}, 0.5
				for range 4 * testEpoch {
					p.step(t)
				}
				if n := p.failed[0] + p.failed[1]; n > c.before {
					t.Errorf("seed %d: %d not opened after it", seed, n)
				}
				p.failed = [2]int{}
				for range 20 * testEpoch {
					p.step(t)
				}
				if p.failed != [2]int{} {
					t.Errorf("seed %d: not opened for good: %v", seed, p.failed)
				}
			}
		})
	}
}
