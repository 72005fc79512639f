// SPDX-License-Identifier: BSD-3-Clause

package cli

import "strings"

// match returns the index of the first of the words that begins with s, which
// is how every object, operation and keyword is recognised: the order of the
// words decides between several, and the empty text means the first.
func match(s string, words ...string) (int, bool) {
	for i, w := range words {
		if strings.HasPrefix(w, s) {
			return i, true
		}
	}
	return 0, false
}

// wild reports whether text fits the pattern, in which a * stands for any text.
func wild(pattern, text string) bool {
	head, tail, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, head)
	if !ok {
		return false
	}
	// Each further piece is taken at its first place; the last must end the text.
	for {
		piece, rest, more := strings.Cut(tail, "*")
		if !more {
			return strings.HasSuffix(text, piece)
		}
		_, after, found := strings.Cut(text, piece)
		if !found {
			return false
		}
		text, tail = after, rest
	}
}

// isWild reports whether the text is a pattern.
func isWild(s string) bool { return strings.Contains(s, "*") }
