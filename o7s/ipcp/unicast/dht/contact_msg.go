// SPDX-License-Identifier: BSD-3-Clause

package dht

// contactMsg is dht_contact_msg (spec 20 §10.3): a member. After parsing, id is
// part of the message.
type contactMsg struct {
	id   []byte // node id
	addr uint64 // data-transfer address
}

func parseContact(b []byte) (c contactMsg, err error) {
	err = parseFields(b, want{bytesType, varintType}, 2, func(f field) error {
		switch f.no {
		case 1:
			c.id = f.data
		case 2:
			c.addr = f.num
		}
		return nil
	})
	return c, err
}

func (c contactMsg) size() int { return bytesSize(len(c.id)) + varintSize(c.addr) }

func (c contactMsg) append(b []byte) []byte {
	return appendVarint(appendBytes(b, 1, c.id), 2, c.addr)
}
