// SPDX-License-Identifier: BSD-3-Clause

package linkstate

// A withdrawal is an announcement followed by eight bytes that say that the
// link is gone (docs/extensions.md §7). Prototypes never get one.
const (
	withdrawalMark = "o7s-wdr1"
	withdrawalSize = lsaSize + len(withdrawalMark)
)

// parseWithdrawal reads a withdrawal, which is a packet of its own.
func parseWithdrawal(b []byte) (r record, n int, err error) {
	if len(b) != withdrawalSize {
		return r, 0, errLength
	}
	if string(b[lsaSize:]) != withdrawalMark {
		return r, 0, errRecord
	}
	if r, _, err = parseLSA(b); err != nil {
		return r, 0, err
	}
	r.gone = true
	return r, withdrawalSize, nil
}

// appendWithdrawal appends the withdrawal of the link of r.
func (r record) appendWithdrawal(b []byte) []byte {
	return append(r.appendLSA(b), withdrawalMark...)
}
