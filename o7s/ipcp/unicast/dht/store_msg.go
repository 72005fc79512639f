// SPDX-License-Identifier: BSD-3-Clause

package dht

// storeMsg is dht_store_msg (spec 20 §10.3): a value to be held.
type storeMsg struct {
	key    []byte // hash of a name
	val    []byte // address of a member that serves it, 8 bytes big-endian
	expiry uint32 // UNIX seconds
}

func parseStore(b []byte) (m storeMsg, err error) {
	err = parseFields(b, want{bytesType, bytesType, varintType}, 3, func(f field) error {
		switch f.no {
		case 1:
			m.key = f.data
		case 2:
			m.val = f.data
		case 3:
			m.expiry = uint32(f.num) // as protobuf does
		}
		return nil
	})
	return m, err
}

func (m storeMsg) size() int {
	return bytesSize(len(m.key)) + bytesSize(len(m.val)) + varintSize(uint64(m.expiry))
}

func (m storeMsg) append(b []byte) []byte {
	return appendVarint(appendBytes(appendBytes(b, 1, m.key), 2, m.val), 3, uint64(m.expiry))
}
