// SPDX-License-Identifier: BSD-3-Clause

package ring

import "o7gw/o7s/packet"

// Room returns how many packets of up to n bytes fit into the ring just now,
// at most most. If it is fewer than least it returns 0, and the other side rings
// the bell when there is room again. A ring that takes nothing any more has
// room for everything: the next write tells what is the matter.
func (e *End) Room(n, least, most int) int {
	e.wmu.Lock()
	defer e.wmu.Unlock()
	for asked := false; ; asked = true {
		if e.writable() != nil {
			return most
		}
		fits, err := e.out.room(record(n), most)
		if err != nil {
			e.fail()
			return most
		}
		switch {
		case fits >= least:
			if asked {
				e.write.flag.Store(0)
			}
			return min(fits, most)
		case asked:
			return 0
		}
		e.write.flag.Store(1) // full barrier, see consumer.publish
	}
}

// room returns how many records of n bytes fit, looking closely only if it
// seems to be fewer than most.
func (p *producer) room(n uint64, most int) (int, error) {
	if fits := int(p.free() / n); fits >= most {
		return fits, nil
	}
	err := p.refresh()
	return int(p.free() / n), err
}

// Room is that of the End. hasRoom, see OnRoom, is called some time after it
// has returned 0.
func (q *Port) Room(n, least, most int) int {
	q.asked.Store(true)
	fits := q.e.Room(n, least, most)
	if fits > 0 {
		q.asked.Store(false)
	}
	return fits
}

// OnRoom sets the function that is called, on the goroutine of the Poller, when
// there may be room in a ring that had none. Call it before Receive.
func (q *Port) OnRoom(hasRoom func()) { q.hasRoom = hasRoom }

// Copy is Send for packets that stay with the caller.
func (q *Port) Copy(pkts []*packet.Buffer) {
	for rest := pkts; len(rest) > 0; {
		n, err := q.e.WriteBatch(rest, NoWait)
		rest = rest[n:]
		if err != nil && err != ErrTooLong {
			q.dropped.Add(uint64(len(rest)))
			break
		}
		if err != nil {
			q.dropped.Add(1) // that one alone
			rest = rest[1:]
		}
	}
}
