// SPDX-License-Identifier: BSD-3-Clause

package session

import "errors"

// Stream is the state of one end of a TCP session after its status: which of
// the two directions have ended.
//
//	         Finish sent                 finish taken
//	open ───────────────▶ half-closed ───────────────▶ ended
//	 │  ╲                                               ▲
//	 │   ╲ finish taken               Finish sent       │
//	 │    ╰──────────────▶ half-closed ─────────────────╯
//	 ╰── reset or malformed packet taken: aborted, from each state
//
// The orderly end of the flow counts as the peer's finish. The zero value is open.
// Finish and Take may be called from two goroutines.
type Stream struct {
	finished bool  // this side has sent finish
	ended    bool  // the peer has
	broken   error // aborted, and why
}

// ErrReset is the end of a session that the peer aborted.
var ErrReset = errors.New("session reset by the peer")

// Take reads a packet of the peer. It returns the bytes of data packets. done
// is true when the peer has finished; an error aborts the session, and every call
// after it returns it.
func (s *Stream) Take(p []byte) (data []byte, done bool, err error) {
	if s.broken != nil {
		return nil, false, s.broken
	}
	if len(p) == 0 {
		return nil, s.ended, nil // a keepalive of the flow
	}
	switch k := Kind(p[0]); {
	case k == KindKeepalive || k >= Optional:
		return nil, s.ended, nil
	case k == KindReset:
		s.broken = ErrReset
	case s.ended:
		s.broken = malformed("packet of kind %#x after finish", p[0])
	case k == KindData:
		return p[1:], false, nil
	case k == KindFinish:
		s.ended = true
		return nil, true, nil
	default:
		s.broken = malformed("packet of kind %#x", p[0])
	}
	return nil, false, s.broken
}

// Ended reports whether the peer has finished.
func (s *Stream) Ended() bool { return s.ended }

// Finish ends this side's direction. It returns the packet to send, nil if that
// was done before.
func (s *Stream) Finish() []byte {
	if s.finished {
		return nil
	}
	s.finished = true
	return []byte{byte(KindFinish)}
}

// Finished reports whether this side has finished.
func (s *Stream) Finished() bool { return s.finished }

// Reset returns the packet that aborts a session, in any state.
func Reset() []byte { return []byte{byte(KindReset)} }
