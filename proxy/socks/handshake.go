// SPDX-License-Identifier: BSD-3-Clause

package socks

import (
	"errors"
	"fmt"
)

const (
	version     = 5
	authVersion = 1 // of RFC 1929

	methodNone     = 0
	methodPassword = 2
	noMethod       = 0xff

	commandConnect   = 1
	commandAssociate = 3
)

// state is what a handshake waits for:
//
//	greeting ──▶ login ──▶ request ──▶ over
//	    ╰──(no users)──────────▲
//
// An error ends it in any state.
type state uint8

const (
	greeting state = iota
	login
	request
	over
)

// handshake is the beginning of a SOCKS5 connection as the server sees it (RFC
// 1928 §3 and §4, RFC 1929), without I/O: give take what need asks for until
// that is nothing.
type handshake struct {
	// check reports whether a user has that password; nil: nobody is asked.
	check func(user, password string) bool

	state   state
	message []byte // of the client, as far as it has come
	size    int    // of the message, as far as is known

	// The request, in the state over.
	command byte
	target  address
	user    string
}

// least is how long the messages are at least, or what has to be read to know
// it, by state.
var least = [...]int{greeting: 2, login: 2, request: 5, over: 0}

func newHandshake(check func(user, password string) bool) *handshake {
	return &handshake{check: check, size: least[greeting]}
}

// need returns how many bytes the handshake waits for: what the client sends
// behind them belongs to the connection. 0: it is over, or has failed.
func (h *handshake) need() int { return h.size - len(h.message) }

// take takes bytes, need of them at most, and returns what has to be sent to
// the client. After an error the connection is closed, once the reply is sent.
func (h *handshake) take(p []byte) (reply []byte, err error) {
	h.message = append(h.message, p...)
	if h.need() > 0 {
		return nil, nil
	}
	next := h.state
	switch h.state {
	case greeting:
		next, reply, err = h.greeting()
	case login:
		next, reply, err = h.login()
	case request:
		next, reply, err = h.request()
	}
	if err != nil {
		h.message, h.size = nil, 0
		return reply, err
	}
	if next != h.state {
		h.state, h.message, h.size = next, h.message[:0], least[next]
	}
	return reply, nil
}

// more makes the message longer than was known. It reports whether there is
// something to wait for.
func (h *handshake) more(size int) bool {
	h.size = size
	return h.need() > 0
}

// errClient is wrapped by the errors of clients that do not speak the protocol.
var errClient = errors.New("not understood")

func (h *handshake) greeting() (state, []byte, error) {
	m := h.message
	switch m[0] {
	case version:
	case 4:
		// The refusal of that version: version 0, code 91, six bytes unused.
		return 0, []byte{0, 91, 0, 0, 0, 0, 0, 0}, fmt.Errorf("%w: the client speaks SOCKS4: use SOCKS5", errClient)
	default:
		return 0, nil, fmt.Errorf("%w: the client does not speak SOCKS5 (first byte %#02x)", errClient, m[0])
	}
	if h.more(2 + int(m[1])) {
		return greeting, nil, nil
	}
	method, next := byte(methodNone), request
	if h.check != nil {
		method, next = methodPassword, login
	}
	for _, offered := range m[2:] {
		if offered == method {
			return next, []byte{version, method}, nil
		}
	}
	err := errors.New("the client does not log in: set a user and a password there")
	if h.check == nil {
		err = fmt.Errorf("%w: the client offers no connection without login", errClient)
	}
	return 0, []byte{version, noMethod}, err
}

// errLogin: unknown user, or wrong password.
var errLogin = errors.New("unknown user or wrong password")

func (h *handshake) login() (state, []byte, error) {
	m := h.message
	if m[0] != authVersion {
		return 0, []byte{authVersion, 1}, fmt.Errorf("%w: login of version %d", errClient, m[0])
	}
	user := 2 + int(m[1])
	if h.more(user + 1) {
		return login, nil, nil
	}
	if h.more(user + 1 + int(m[user])) {
		return login, nil, nil
	}
	h.user = string(m[2:user])
	if !h.check(h.user, string(m[user+1:])) {
		return 0, []byte{authVersion, 1}, errLogin
	}
	return request, []byte{authVersion, 0}, nil
}

func (h *handshake) request() (state, []byte, error) {
	m := h.message
	if m[0] != version {
		return 0, reply(failure, none), fmt.Errorf("%w: request of version %d", errClient, m[0])
	}
	if m[1] != commandConnect && m[1] != commandAssociate {
		return 0, reply(commandUnknown, none), fmt.Errorf("%w: command %d", errClient, m[1])
	}
	size, err := addressSize(m[3:])
	if err != nil {
		return 0, reply(addressUnknown, none), fmt.Errorf("%w: %w", errClient, err)
	}
	if h.more(3 + size) {
		return request, nil, nil
	}
	target, _, err := parseAddress(m[3:])
	if err != nil && m[1] == commandConnect {
		return 0, reply(failure, none), fmt.Errorf("%w: %w", errClient, err)
	}
	if m[1] == commandConnect && target.port == 0 {
		return 0, reply(failure, none), fmt.Errorf("%w: port 0", errClient)
	}
	h.command, h.target = m[1], target
	return over, nil, nil
}
