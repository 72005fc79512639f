// SPDX-License-Identifier: BSD-3-Clause

package users

import "testing"

func TestCheck(t *testing.T) {
	var none *List
	if !none.Empty() || none.Check("", "") || !New(nil).Empty() || New(nil).Check("", "") {
		t.Error("a list without users lets somebody in")
	}
	l := New(map[string]string{"alice": "secret", "bob": "", "ab": "c"})
	for _, c := range []struct {
		name, password string
		want           bool
	}{
		{"alice", "secret", true}, {"alice", "", false}, {"alice", "Secret", false}, {"Alice", "secret", false},
		{"bob", "", true}, {"", "", false}, {"ab", "c", true}, {"a", "bc", false}, {"", "abc", false}, {"bob", "secret", false},
	} {
		if l.Check(c.name, c.password) != c.want {
			t.Errorf("%q, %q", c.name, c.password)
		}
	}
	if l.Empty() {
		t.Error("empty")
	}
}
