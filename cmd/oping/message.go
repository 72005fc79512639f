// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/binary"
	"time"
)

// The first bytes of every message (spec 40 §6.2); zeros follow up to its
// size.
//
//	0  4  type, big-endian
//	4  4  id, big-endian, from 0
//	8  8  seconds   of the client's clock, opaque to the server;
//	16 8  nanoseconds  little-endian, the host order of the prototype
const headerSize = 24

const (
	request = 0
	reply   = 1
)

// putRequest writes the header of request id, sent at the given time of the
// client's clock.
func putRequest(p []byte, id uint32, at time.Duration) {
	binary.BigEndian.PutUint32(p, request)
	binary.BigEndian.PutUint32(p[4:], id)
	binary.LittleEndian.PutUint64(p[8:], uint64(at/time.Second))
	binary.LittleEndian.PutUint64(p[16:], uint64(at%time.Second))
}

// parseReply reads a reply that arrived at the given time and returns its id
// and round trip time. It reports false for what cannot be an answer to a
// request of ours.
func parseReply(p []byte, now time.Duration) (id uint32, rtt time.Duration, ok bool) {
	if len(p) < headerSize || binary.BigEndian.Uint32(p) != reply {
		return 0, 0, false
	}
	sec, nsec := binary.LittleEndian.Uint64(p[8:]), binary.LittleEndian.Uint64(p[16:])
	if sec > uint64(now/time.Second) || nsec >= uint64(time.Second) {
		return 0, 0, false
	}
	at := time.Duration(sec)*time.Second + time.Duration(nsec)
	if at > now {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(p[4:]), now - at, true
}

// answer turns a request into its reply, in place. It reports false if it is
// none.
func answer(p []byte) bool {
	if len(p) < headerSize || binary.BigEndian.Uint32(p) != request {
		return false
	}
	binary.BigEndian.PutUint32(p, reply)
	return true
}
