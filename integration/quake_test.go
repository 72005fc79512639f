// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// The network protocol of Quake 3 as OpenArena speaks it (protocol 71), as far
// as a client needs it to get in and stay. Packets are UDP; all integers are
// little endian unless noted.
const (
	quakeOOB      = "\xff\xff\xff\xff" // begins a packet outside of a connection
	quakeFragment = 1 << 31            // in a sequence number: part of a longer message
	quakePart     = 1300               // bytes in each part but the last
	quakePort     = 4711               // "qport": tells clients of one address apart

	// Body of a packet to which the server answers with the state of the game,
	// as it does to clients that seem to have lost it; found by trying.
	quakeGetState = "\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05"
)

// quakeClient is a player without a screen: it joins a game, gets its state, and
// stays until it is stopped. It says when it has stayed for a time and the
// server has talked to it meanwhile. Arguments: host:port of the server, name of
// the player, time to stay.
//
// It does not walk around: that needs the code of the message bodies, a fixed
// one that is only written down in the game's source. To the server it is a
// client that still loads the map.
func quakeClient(ctx context.Context, args []string) error {
	stay, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	q := &quake{conn: conn, buf: make([]byte, 1<<16)}
	answer, err := q.ask("challengeResponse", []byte(quakeOOB+"getchallenge"))
	if err != nil {
		return err
	}
	fields := strings.Fields(answer)
	if len(fields) < 2 {
		return fmt.Errorf("answer without a challenge: %q", answer)
	}
	if _, err := q.ask("connectResponse", quakeConnect(fields[1], args[1])); err != nil {
		return err
	}
	fmt.Println("connected")
	// The state is the only message that needs more than one packet.
	for size := 0; size <= quakePart; {
		if size, err = q.message(quakeGetState); err != nil {
			return fmt.Errorf("state of the game: %w", err)
		}
	}
	fmt.Println("has the state")
	start, said := time.Now(), false
	for n := 0; ; n++ {
		if _, err := q.message(""); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return fmt.Errorf("message %d: %w", n, err)
		}
		// It sends twenty messages a second if nothing holds it up.
		if !said && n >= 50 && time.Since(start) >= stay {
			fmt.Printf("stayed for %d messages\n", n)
			said = true
		}
	}
}

// quakeConnect is the packet that asks to join. Its text is compressed behind
// the command.
func quakeConnect(challenge, name string) []byte {
	text := fmt.Sprintf(`"\protocol\71\challenge\%s\qport\%d\name\%s\rate\25000\snaps\20\model\sarge\handicap\100\cl_guid\%032X"`, challenge, quakePort, name, 1)
	return append([]byte(quakeOOB+"connect "), adaptiveHuffman([]byte(text))...)
}

// quake is the client's end of a connection.
type quake struct {
	conn     net.Conn
	buf      []byte
	sent     uint32 // sequence number of the last packet to the server
	received uint32 // and of the last one from it
	partsOf  uint32 // sequence number of a message that comes in parts
	parts    int    // bytes of it so far, without gaps
}

// ask sends a packet, again when no answer comes, and returns the answer that
// begins with the command.
func (q *quake) ask(command string, packet []byte) (string, error) {
	for {
		if _, err := q.conn.Write(packet); err != nil {
			return "", err
		}
		// The server refuses who asks again sooner.
		again := time.Now().Add(4 * time.Second)
		for {
			p, err := q.read(again)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return "", err
			}
			if text, ok := bytes.CutPrefix(p, []byte(quakeOOB)); ok {
				switch {
				case bytes.HasPrefix(text, []byte(command)):
					return string(text), nil
				case !bytes.HasPrefix(text, []byte("challengeResponse")): // a late one
					return "", fmt.Errorf("the server says %q", text)
				}
			}
		}
	}
}

// message returns the size of the next message of the connection. Meanwhile it
// sends packets with a body, at least ten a second, as a player's machine does:
// the server drops clients that are silent.
func (q *quake) message(body string) (int, error) {
	for {
		if err := q.send(body); err != nil {
			return 0, err
		}
		p, err := q.read(time.Now().Add(100 * time.Millisecond))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if bytes.HasPrefix(p, []byte(quakeOOB+"connectResponse")) {
			q.received = 0 // it was late and asked for again: the server starts anew
			continue
		}
		if bytes.HasPrefix(p, []byte(quakeOOB)) || len(p) < 4 {
			return 0, fmt.Errorf("the server says %q", p)
		}
		if size, err := q.take(p); size > 0 || err != nil {
			return size, err
		}
	}
}

// send sends a packet of the connection: sequence number, qport, body.
func (q *quake) send(body string) error {
	q.sent++
	p := binary.LittleEndian.AppendUint32(nil, q.sent)
	p = binary.LittleEndian.AppendUint16(p, quakePort)
	_, err := q.conn.Write(append(p, body...))
	return err
}

// take takes a packet of the connection and returns the size of the message
// that it completes, 0 if it completes none.
func (q *quake) take(p []byte) (int, error) {
	seq, body := binary.LittleEndian.Uint32(p), p[4:]
	fragment := seq&quakeFragment != 0
	seq &^= quakeFragment
	if seq <= q.received {
		return 0, nil // late or twice
	}
	if !fragment {
		q.received = seq
		return len(body), nil
	}
	if len(body) < 4 {
		return 0, fmt.Errorf("fragment of %d bytes", len(p))
	}
	start, size := int(binary.LittleEndian.Uint16(body)), int(binary.LittleEndian.Uint16(body[2:]))
	if size != len(body)-4 || size > quakePart {
		return 0, fmt.Errorf("fragment with %d bytes says that it has %d", len(body)-4, size)
	}
	if seq != q.partsOf {
		q.partsOf, q.parts = seq, 0
	}
	if start != q.parts {
		return 0, nil // one before it is missing: the message is lost
	}
	q.parts += size
	if size == quakePart {
		return 0, nil
	}
	q.received = seq
	return q.parts, nil
}

func (q *quake) read(deadline time.Time) ([]byte, error) {
	if err := q.conn.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	n, err := q.conn.Read(q.buf)
	return q.buf[:n], err
}

// adaptiveHuffman compresses with the adaptive Huffman code (the procedure of
// Faller, Gallager and Knuth, as in Sayood, Introduction to Data Compression,
// "Adaptive Huffman Coding"): bytes are symbols, the first one of a kind
// follows the code of "not yet transmitted". Bits fill bytes from the lowest;
// the number of bytes that were compressed stands in front, big endian.
func adaptiveHuffman(in []byte) []byte {
	h := huffman{out: binary.BigEndian.AppendUint16(nil, uint16(len(in)))}
	h.unseen = h.add(nil)
	for _, c := range in {
		n := h.leaf[c]
		if n == nil {
			h.code(h.unseen)
			for bit := 7; bit >= 0; bit-- {
				h.bit(c>>bit&1 != 0)
			}
			n = h.split(c)
		} else {
			h.code(n)
		}
		for ; n != nil; n = n.parent {
			h.count(n)
		}
	}
	return h.out
}

// huffman is the state of the code. Its nodes are sorted by weight, the root
// first and siblings side by side.
type huffman struct {
	nodes  []*huffNode
	leaf   [256]*huffNode
	unseen *huffNode // stands for all bytes that have no leaf
	out    []byte
	free   int // bits in the last byte of out
}

type huffNode struct {
	parent *huffNode
	right  bool // the side of the parent, and the last bit of the code
	weight int
	index  int // in nodes
}

func (h *huffman) add(parent *huffNode) *huffNode {
	n := &huffNode{parent: parent, index: len(h.nodes)}
	h.nodes = append(h.nodes, n)
	return n
}

// split makes a leaf for a byte out of the node for unseen ones, and returns
// it.
func (h *huffman) split(c byte) *huffNode {
	inner := h.unseen
	leaf := h.add(inner)
	leaf.right = true
	h.leaf[c] = leaf
	h.unseen = h.add(inner)
	return leaf
}

// count adds one to the weight of a node. Before that the node changes places
// with the first of the same weight, unless that is its parent, so that the
// order stays.
func (h *huffman) count(n *huffNode) {
	first := n.index
	for first > 0 && h.nodes[first-1].weight == n.weight {
		first--
	}
	if m := h.nodes[first]; m != n && m != n.parent {
		h.nodes[first], h.nodes[n.index] = n, m
		n.index, m.index = m.index, n.index
		n.parent, m.parent = m.parent, n.parent
		n.right, m.right = m.right, n.right
	}
	n.weight++
}

// code writes the way from the root to a node.
func (h *huffman) code(n *huffNode) {
	if n.parent == nil {
		return
	}
	h.code(n.parent)
	h.bit(n.right)
}

func (h *huffman) bit(b bool) {
	if h.free == 0 {
		h.out = append(h.out, 0)
		h.free = 8
	}
	if b {
		h.out[len(h.out)-1] |= 1 << (8 - h.free)
	}
	h.free--
}
