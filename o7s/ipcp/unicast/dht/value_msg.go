// SPDX-License-Identifier: BSD-3-Clause

package dht

// maxParsedValues is how many values of a response are looked at, more than
// anyone sends (8); others are skipped.
const maxParsedValues = 16

// valueMsg is dht_find_value_rsp_msg (spec 20 §10.3): the values of a key, none
// if the responder knows none.
type valueMsg struct {
	values [][]byte
}

// parse reads a message. It uses the memory of m.values.
func (m *valueMsg) parse(b []byte) error {
	m.values = m.values[:0]
	return parseFields(b, want{bytesType}, 0, func(f field) error {
		if len(m.values) < maxParsedValues {
			m.values = append(m.values, f.data)
		}
		return nil
	})
}

func (m *valueMsg) size() int {
	n := 0
	for _, v := range m.values {
		n += bytesSize(len(v))
	}
	return n
}

func (m *valueMsg) append(b []byte) []byte {
	for _, v := range m.values {
		b = appendBytes(b, 1, v)
	}
	return b
}
