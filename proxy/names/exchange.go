// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	// straysMost is how many wrong answers are read before a question is asked
	// over TCP: somebody guesses.
	straysMost = 16
	// answerMost is the longest answer over UDP that is read, bytes: some
	// servers send more than the udpMost that they are told.
	answerMost = 4096
	// tcpLimit bounds an exchange over TCP.
	tcpLimit = 3 * time.Second
)

var (
	errTimeout = errors.New("no answer in time")
	errStrays  = errors.New("too many answers to questions that were not asked")
)

// ask asks one server: over UDP, and over TCP what does not fit or smells. Each
// question has a socket, and so a random port, and a random number of its own, and only the
// server asked can answer it. limit is the time for UDP; sent is the number in
// the message on its way.
func (u *upstream) ask(ctx context.Context, q *query, limit time.Duration, control Control, sent *atomic.Uint32) (*dns.Msg, error) {
	defer sent.Store(0)
	edns := true
	m, err := u.exchange(ctx, "udp", request(q, edns), limit, control, sent)
	if err == nil && (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented) && m.IsEdns0() == nil {
		edns = false // a server of before 1999
		m, err = u.exchange(ctx, "udp", request(q, edns), limit, control, sent)
	}
	if err == nil && m.Truncated || errors.Is(err, errStrays) {
		m, err = u.exchange(ctx, "tcp", request(q, edns), tcpLimit, control, sent)
	}
	if err != nil {
		return nil, fmt.Errorf("ask upstream %v: %w", u.addr, err)
	}
	return m, nil
}

// request returns the message for a question of a client: nothing else of what
// the client wrote is passed on.
func request(q *query, edns bool) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.typ) // with a random number
	m.CheckingDisabled, m.AuthenticatedData = q.cd, q.ad
	if edns {
		m.SetEdns0(udpMost, q.do)
	}
	return m
}

func (u *upstream) exchange(ctx context.Context, network string, m *dns.Msg, limit time.Duration, control Control, sent *atomic.Uint32) (*dns.Msg, error) {
	out, err := m.Pack()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	d := net.Dialer{Control: control}
	conn, err := d.DialContext(ctx, network, u.addr.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	sent.Store(1<<16 | uint32(m.Id))
	if network == "tcp" {
		out = append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)
	}
	if _, err := conn.Write(out); err != nil {
		return nil, timeout(err)
	}
	if network == "tcp" {
		return readStream(conn, m)
	}
	return readDatagrams(conn, m)
}

func readStream(conn net.Conn, m *dns.Msg) (*dns.Msg, error) {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, timeout(err)
	}
	raw := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, raw); err != nil {
		return nil, timeout(err)
	}
	if a := match(raw, m); a != nil {
		return a, nil
	}
	return nil, errors.New("the answer is to another question, or damaged")
}

func readDatagrams(conn net.Conn, m *dns.Msg) (*dns.Msg, error) {
	raw := make([]byte, answerMost)
	for range straysMost {
		n, err := conn.Read(raw)
		if err != nil {
			return nil, timeout(err)
		}
		if a := match(raw[:n], m); a != nil {
			return a, nil
		}
	}
	return nil, errStrays
}

func timeout(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errTimeout
	}
	return err
}

// match reads the answer to a question; nil: it is none.
func match(raw []byte, m *dns.Msg) *dns.Msg {
	if len(raw) < headerLen || binary.BigEndian.Uint16(raw) != m.Id || raw[2]&0x80 == 0 || raw[2]>>3&0xf != dns.OpcodeQuery {
		return nil
	}
	a := new(dns.Msg)
	err := a.Unpack(raw)
	// Some servers do not repeat a question that they do not understand.
	if rcode := raw[3] & 0xf; err == nil && len(a.Question) == 0 && (rcode == dns.RcodeFormatError || rcode == dns.RcodeNotImplemented) {
		return a
	}
	if len(a.Question) != 1 || a.Question[0].Qtype != m.Question[0].Qtype || a.Question[0].Qclass != m.Question[0].Qclass ||
		toLower(a.Question[0].Name) != toLower(m.Question[0].Name) {
		return nil
	}
	if err != nil {
		if !a.Truncated {
			return nil
		}
		a.Answer, a.Ns, a.Extra = nil, nil, nil // cut off in a record
	}
	return a
}
