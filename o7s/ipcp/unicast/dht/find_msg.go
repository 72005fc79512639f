// SPDX-License-Identifier: BSD-3-Clause

package dht

// findMsg is dht_find_req_msg (spec 20 §10.3): a request for the contacts next to
// a key, or for its values.
type findMsg struct {
	cookie uint64 // random, not 0
	key    []byte // hash of a name, or node id
}

func parseFind(b []byte) (m findMsg, err error) {
	err = parseFields(b, want{varintType, bytesType}, 2, func(f field) error {
		switch f.no {
		case 1:
			m.cookie = f.num
		case 2:
			m.key = f.data
		}
		return nil
	})
	return m, err
}

func (m findMsg) size() int { return varintSize(m.cookie) + bytesSize(len(m.key)) }

func (m findMsg) append(b []byte) []byte {
	return appendBytes(appendVarint(b, 1, m.cookie), 2, m.key)
}
