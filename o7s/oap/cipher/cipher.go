// SPDX-License-Identifier: BSD-3-Clause

// Package cipher knows the packet ciphers by their numbers in the handshake,
// their names in enc.conf and their rank of strength (spec 30 §5.1, §6.3). It
// encrypts nothing: o7s/crypt does.
package cipher

// Numbers on the wire: those of OpenSSL.
const (
	AES128GCM        uint16 = 895
	AES192GCM        uint16 = 898
	AES256GCM        uint16 = 901
	AES128CTR        uint16 = 904
	AES192CTR        uint16 = 905
	AES256CTR        uint16 = 906
	ChaCha20Poly1305 uint16 = 1018
)

// ciphers stand in the order of their strength, the weakest first.
var ciphers = [...]struct {
	number uint16
	name   string
}{
	{AES128CTR, "aes-128-ctr"},
	{AES192CTR, "aes-192-ctr"},
	{AES256CTR, "aes-256-ctr"},
	{AES128GCM, "aes-128-gcm"},
	{AES192GCM, "aes-192-gcm"},
	{AES256GCM, "aes-256-gcm"},
	{ChaCha20Poly1305, "chacha20-poly1305"},
}

// Known reports whether n is the number of a cipher.
func Known(n uint16) bool { return Rank(n) > 0 }

// Rank returns the strength by which two ends agree on one of two ciphers:
// 1 is the weakest, 0 is none or unknown.
func Rank(n uint16) int {
	for i := range ciphers {
		if ciphers[i].number == n {
			return i + 1
		}
	}
	return 0
}

// Authenticated reports whether the cipher notices changed packets. Those that
// do not (the CTR modes, spec 30 EN-6) are known here only so that a peer that
// offers one can be answered.
func Authenticated(n uint16) bool { return Rank(n) >= Rank(AES128GCM) }

// Name returns the name in enc.conf, "" if n is unknown.
func Name(n uint16) string {
	if r := Rank(n); r > 0 {
		return ciphers[r-1].name
	}
	return ""
}

// ByName returns the number of the cipher with a name of enc.conf.
func ByName(name string) (n uint16, ok bool) {
	for i := range ciphers {
		if ciphers[i].name == name {
			return ciphers[i].number, true
		}
	}
	return 0, false
}

// Names returns all names, the weakest first, for messages to users.
func Names() []string {
	names := make([]string, len(ciphers))
	for i := range ciphers {
		names[i] = ciphers[i].name
	}
	return names
}
