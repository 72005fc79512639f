// SPDX-License-Identifier: BSD-3-Clause

package layer

import (
	"sync/atomic"

	"o7gw/o7s/packet"
)

// PipeMTU is the MTU of a Pipe in bytes.
const PipeMTU = packet.MaxPayload

// Pipe returns the two ends of a flow inside one process. Send runs the
// receiver of the other end (run to completion), one call at a time.
func Pipe() (Port, Port) {
	a, b := new(pipeEnd), new(pipeEnd)
	a.peer, b.peer = b, a
	return a, b
}

type pipeEnd struct {
	peer   *pipeEnd
	in     Inbox
	closed atomic.Bool
}

func (p *pipeEnd) Send(pkts []*packet.Buffer) { p.peer.in.Deliver(pkts) }

func (p *pipeEnd) Receive(r Receiver) { p.in.Receive(r) }

func (p *pipeEnd) MTU() int { return PipeMTU }

func (p *pipeEnd) Close() error {
	if !p.closed.Swap(true) {
		p.in.Close()
		p.peer.in.Notify(Closed)
	}
	return nil
}
