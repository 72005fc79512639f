// SPDX-License-Identifier: BSD-3-Clause

package eth

import "o7gw/o7s/layer"

// query asks all members of the layer who serves a name (code 2).
type query struct {
	name layer.Hash
}

func (q query) append(f framing, b []byte) []byte {
	return append(header{code: codeQuery}.append(f, b), q.name...)
}

// queryReply says to who asked that the sender does (code 3).
type queryReply struct {
	name layer.Hash
}

func (q queryReply) append(f framing, b []byte) []byte {
	return append(header{code: codeQueryReply}.append(f, b), q.name...)
}
