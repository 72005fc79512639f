// SPDX-License-Identifier: BSD-3-Clause

package dht

import "fmt"

// kind is the code of a message. One above 4 must never be sent: it can crash a
// C node (DHT-21).
type kind uint32

const (
	store kind = iota
	findNode
	foundNode
	findValue
	foundValue
)

// Field numbers of the sub-messages of dht_msg.
const (
	fieldStore = 3
	fieldFind  = 4
	fieldNode  = 5
	fieldValue = 6
)

// message is dht_msg (spec 20 §10.3). After parsing, byte slices are parts of the
// message.
type message struct {
	kind  kind
	src   contactMsg // the sender
	store storeMsg   // of store
	find  findMsg    // of findNode and findValue
	node  nodeMsg    // of foundNode and foundValue
	value valueMsg   // of foundValue
	has   [7]bool    // by field number: what was parsed
}

// parse reads a message and checks that it has what its kind needs. It uses the
// memory of slices in m.
func (m *message) parse(b []byte) error {
	m.has = [7]bool{}
	err := parseFields(b, want{varintType, bytesType, bytesType, bytesType, bytesType, bytesType}, 2, func(f field) (err error) {
		m.has[f.no] = true
		switch f.no {
		case 1:
			m.kind = kind(f.num)
		case 2:
			m.src, err = parseContact(f.data)
		case fieldStore:
			m.store, err = parseStore(f.data)
		case fieldFind:
			m.find, err = parseFind(f.data)
		case fieldNode:
			err = m.node.parse(f.data)
		case fieldValue:
			err = m.value.parse(f.data)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("parse DHT message: %w", err)
	}
	var complete bool
	switch m.kind {
	case store:
		complete = m.has[fieldStore]
	case findNode, findValue:
		complete = m.has[fieldFind]
	case foundNode:
		complete = m.has[fieldNode]
	case foundValue:
		complete = m.has[fieldNode] && m.has[fieldValue]
	default:
		return fmt.Errorf("parse DHT message: unknown code %d", m.kind)
	}
	if !complete {
		return fmt.Errorf("parse DHT message: code %d: %w", m.kind, errRequired)
	}
	return nil
}

// append appends the fields of the message's kind.
func (m *message) append(b []byte) []byte {
	b = appendVarint(b, 1, uint64(m.kind))
	b = m.src.append(appendHead(b, 2, m.src.size()))
	switch m.kind {
	case store:
		b = m.store.append(appendHead(b, fieldStore, m.store.size()))
	case findNode, findValue:
		b = m.find.append(appendHead(b, fieldFind, m.find.size()))
	case foundNode:
		b = m.node.append(appendHead(b, fieldNode, m.node.size()))
	case foundValue:
		b = m.node.append(appendHead(b, fieldNode, m.node.size()))
		b = m.value.append(appendHead(b, fieldValue, m.value.size()))
	}
	return b
}
