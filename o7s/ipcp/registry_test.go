// SPDX-License-Identifier: BSD-3-Clause

package ipcp

import "testing"

func TestRegistry(t *testing.T) {
	var r Registry
	r.Remove("unknown")
	r.Add("a")
	r.Add("a")
	r.Add("b")
	if !r.Has("a") || r.Has("c") || r.Len() != 2 {
		t.Fatalf("a: %v, c: %v, %d names", r.Has("a"), r.Has("c"), r.Len())
	}
	r.Remove("a")
	if r.Has("a") || !r.Has("b") || r.Len() != 1 {
		t.Fatal("removal went wrong")
	}
}
