// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"o7gw/o7s/load"
	"o7gw/o7s/packet"
)

const (
	// streamBuffer is how much of a stream is read at once, bytes.
	streamBuffer = 256 << 10
	// smallMTU is the size of packets below which they are handed over in
	// batches: the price of a call is then more than that of another copy.
	smallMTU = 16 << 10
)

// unsentError says that something was read from the input and not sent.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return "not everything was sent: " + e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

// send sends what the end gives, until its end.
func (s *session) send(ctx context.Context) error {
	switch {
	case s.opt.rawPackets:
		return s.sendReads(ctx, make([]byte, s.flow.MTU()), s.flow.WritePacket)
	case s.opt.packets || s.opt.interval > 0:
		return s.sendLines(ctx, s.end.lines())
	case s.flow.QoS().Reliable():
		return s.sendReads(ctx, make([]byte, streamBuffer), s.writeStream)
	}
	return s.sendReads(ctx, make([]byte, streamBuffer), s.writePackets)
}

// sendReads sends what each read gives.
func (s *session) sendReads(ctx context.Context, buf []byte, write func([]byte) error) error {
	for {
		n, err := s.end.Read(buf)
		if n > 0 {
			if err := write(buf[:n]); err != nil {
				return &unsentError{err}
			}
			s.passed(&s.own.sent, &s.total.sent, n)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if s.opt.interval > 0 && !load.Pause(ctx, s.opt.interval) {
			return context.Cause(ctx)
		}
	}
}

// writeStream leaves it to the flow where packets begin.
func (s *session) writeStream(p []byte) error {
	_, err := s.flow.Write(p)
	return err
}

// writePackets cuts p into packets as large as the flow carries.
func (s *session) writePackets(p []byte) error {
	mtu := s.flow.MTU()
	if mtu >= smallMTU {
		for len(p) > 0 {
			n := min(len(p), mtu)
			if err := s.flow.WritePacket(p[:n]); err != nil {
				return err
			}
			p = p[n:]
		}
		return nil
	}
	var batch [packet.BatchSize]*packet.Buffer
	for len(p) > 0 {
		b := batch[:min(len(batch), (len(p)+mtu-1)/mtu)]
		packet.GetBatch(b, mtu)
		for _, pkt := range b {
			n := min(len(p), mtu)
			pkt.Append(p[:n])
			p = p[n:]
		}
		if err := s.flow.WriteBatch(b); err != nil {
			return err
		}
	}
	return nil
}

// errLong is about a line that is no packet.
var errLong = errors.New("line too long for a packet")

// sendLines sends line by line: in packet mode without the line's end.
func (s *session) sendLines(ctx context.Context, r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case err == bufio.ErrBufferFull && s.opt.packets:
			return &unsentError{fmt.Errorf("%w: more than %d bytes", errLong, len(line))}
		case err == bufio.ErrBufferFull: // a piece of a line, in a stream
			err = nil
		case err != nil && err != io.EOF && len(line) > 0:
			return &unsentError{err}
		}
		if werr := s.sendLine(line); werr != nil {
			return &unsentError{werr}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case s.opt.interval > 0 && !load.Pause(ctx, s.opt.interval):
			return context.Cause(ctx)
		}
	}
}

func (s *session) sendLine(line []byte) error {
	if len(line) == 0 {
		return nil
	}
	n, mtu := len(line), s.flow.MTU()
	switch {
	case s.opt.packets:
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) > mtu {
			return fmt.Errorf("%w: %d bytes, the flow carries %d", errLong, len(line), mtu)
		}
		if len(line) == 0 {
			return nil // an empty packet is none: it would be a keepalive
		}
		if err := s.flow.WritePacket(line); err != nil {
			return err
		}
	case s.flow.QoS().Reliable():
		if err := s.writeStream(line); err != nil {
			return err
		}
	default:
		if err := s.writePackets(line); err != nil {
			return err
		}
	}
	s.passed(&s.own.sent, &s.total.sent, n)
	return nil
}
