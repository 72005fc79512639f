// SPDX-License-Identifier: BSD-3-Clause

// Package users checks the user names and passwords of the gateway's proxies.
//
// Start with New and List.Check.
package users

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
)

// List are users with their passwords. It never changes. The nil List has no
// users.
type List struct {
	key  []byte
	sums [][sha256.Size]byte
}

// New returns the list of a map from names to passwords.
func New(users map[string]string) *List {
	l := &List{key: make([]byte, sha256.Size)}
	rand.Read(l.key)
	for name, password := range users {
		l.sums = append(l.sums, l.sum(name, password))
	}
	return l
}

// Empty reports whether there are no users: nobody needs to say who he is.
func (l *List) Empty() bool { return l == nil || len(l.sums) == 0 }

// Check reports whether a user has that password. How long it takes tells
// nothing of either.
func (l *List) Check(name, password string) bool {
	if l.Empty() {
		return false
	}
	given, found := l.sum(name, password), 0
	for i := range l.sums {
		found |= subtle.ConstantTimeCompare(given[:], l.sums[i][:])
	}
	return found == 1
}

// sum returns the digest of a pair, under a key that nobody knows.
func (l *List) sum(name, password string) (out [sha256.Size]byte) {
	h := hmac.New(sha256.New, l.key)
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(name))))
	h.Write([]byte(name))
	h.Write([]byte(password))
	h.Sum(out[:0])
	return out
}
