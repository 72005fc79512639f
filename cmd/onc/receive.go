// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"io"

	"o7gw/o7s/packet"
)

var lineEnd = []byte("\n")

// receive writes what comes out of the flow, batch by batch, until its end.
func (s *session) receive(write func([][]byte) error) error {
	batch := make([]*packet.Buffer, packet.BatchSize)
	var out [][]byte
	for {
		n, err := s.flow.ReadBatch(batch)
		size := 0
		out = out[:0]
		for _, b := range batch[:n] {
			size += b.Len()
			out = append(out, b.Bytes())
			if s.opt.packets {
				out = append(out, lineEnd)
			}
		}
		if n > 0 {
			werr := s.writeOut(write, out)
			packet.ReleaseBatch(batch[:n])
			if werr != nil {
				return werr
			}
			s.passed(&s.own.received, &s.total.received, size)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// writeOut writes the packets: in raw packet mode with one call for each.
func (s *session) writeOut(write func([][]byte) error, out [][]byte) error {
	if !s.opt.rawPackets {
		return write(out)
	}
	for i := range out {
		if err := write(out[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}
