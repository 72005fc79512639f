// SPDX-License-Identifier: BSD-3-Clause

package dht

// maxContacts is how many contacts of a response are looked at, more than any
// k of a C node makes (20); others are skipped.
const maxContacts = 32

// nodeMsg is dht_find_node_rsp_msg (spec 20 §10.3): contacts next to a key.
type nodeMsg struct {
	cookie   uint64 // copied from the request
	key      []byte // likewise
	contacts []contactMsg
}

// parse reads a message. It uses the memory of m.contacts.
func (m *nodeMsg) parse(b []byte) error {
	m.contacts = m.contacts[:0]
	return parseFields(b, want{varintType, bytesType, bytesType}, 2, func(f field) error {
		switch f.no {
		case 1:
			m.cookie = f.num
		case 2:
			m.key = f.data
		case 3:
			c, err := parseContact(f.data)
			if err != nil {
				return err
			}
			if len(m.contacts) < maxContacts {
				m.contacts = append(m.contacts, c)
			}
		}
		return nil
	})
}

func (m *nodeMsg) size() int {
	n := varintSize(m.cookie) + bytesSize(len(m.key))
	for _, c := range m.contacts {
		n += bytesSize(c.size())
	}
	return n
}

func (m *nodeMsg) append(b []byte) []byte {
	b = appendBytes(appendVarint(b, 1, m.cookie), 2, m.key)
	for _, c := range m.contacts {
		b = c.append(appendHead(b, 3, c.size()))
	}
	return b
}
