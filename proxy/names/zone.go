// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"strings"

	"github.com/miekg/dns"
)

// Names of DNS are in the presentation form of the dns package, with a dot at
// the end: bytes that are special there are escaped with a backslash.

// maxLabel and maxName are the limits of DNS, bytes (RFC 1035 §2.3.4); the
// second in presentation form without the dot at the end.
const (
	maxLabel = 63
	maxName  = 253
)

// zone is the zone whose names stand for services.
type zone struct{ suffix string } // ".o7s."

func newZone(name string) zone { return zone{"." + name + "."} }

// apex returns the zone's own name.
func (z zone) apex() string { return z.suffix[1:] }

// cut returns what a name has in front of the zone, in lower case, "" for the
// zone itself. in is false if the name is in another zone.
func (z zone) cut(name string) (prefix string, in bool) {
	lower := toLower(name)
	if lower == z.apex() {
		return "", true
	}
	// Behind a backslash the dot is part of a label; dns knows.
	if prefix, in = strings.CutSuffix(lower, z.suffix); in && strings.Contains(prefix, `\`) {
		in = dns.IsSubDomain(z.apex(), lower)
	}
	return prefix, in
}

// service returns the service that a name of the zone stands for: what is in
// front of the zone, in lower case, since DNS does not tell a from A. ok is
// false for what no service can be reached under.
func service(prefix string) (name string, ok bool) {
	if prefix == "" || strings.ContainsFunc(prefix, notName) {
		return "", false
	}
	return prefix, true
}

// notName reports whether the name of a service cannot have r in DNS. A
// backslash escapes a byte that the service's name would need to have itself:
// dots, which are between labels, what is not printable, and a few others.
func notName(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }

// name returns the name of DNS for a service; ok is false if there is none.
func (z zone) name(service string) (name string, ok bool) {
	name = service + z.suffix
	if len(name) > maxName+1 || service == "" || service != toLower(service) || strings.ContainsFunc(service, notName) ||
		strings.ContainsAny(service, special) {
		return "", false
	}
	for label := range strings.SplitSeq(service, ".") {
		if label == "" || len(label) > maxLabel {
			return "", false
		}
	}
	return name, true
}

// special are the printable characters that are escaped.
const special = `'@;()"\`

// toLower is strings.ToLower for the letters that DNS takes for equal.
func toLower(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; c >= 'A' && c <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
