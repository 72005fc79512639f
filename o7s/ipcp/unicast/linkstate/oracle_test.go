// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import "slices"

// oracle computes routes slowly, by the definitions of spec 20 §8.6.
type oracle struct {
	nodes []uint64 // sorted
	links map[link]bool
	dist  map[link]int // Floyd and Warshall; nothing: not reachable
}

func newOracle() oracle {
	return oracle{links: make(map[link]bool)}
}

func (o *oracle) node(a uint64) {
	if i, ok := slices.BinarySearch(o.nodes, a); !ok {
		o.nodes = slices.Insert(o.nodes, i, a)
	}
}

func (o *oracle) announce(src, dst uint64) {
	o.node(src)
	o.node(dst)
	o.links[link{dst: dst, src: src}] = true
}

// usable says whether both ends announce the link.
func (o *oracle) usable(a, b uint64) bool {
	return o.links[link{dst: a, src: b}] && o.links[link{dst: b, src: a}]
}

const far = 1 << 20

func (o *oracle) compute() {
	n := len(o.nodes)
	d := make([][]int, n)
	for i := range d {
		d[i] = make([]int, n)
		for j := range d[i] {
			switch {
			case i == j:
			case o.usable(o.nodes[i], o.nodes[j]):
				d[i][j] = 1
			default:
				d[i][j] = far
			}
		}
	}
	for k := range n {
		for i := range n {
			for j := range n {
				d[i][j] = min(d[i][j], d[i][k]+d[k][j])
			}
		}
	}
	o.dist = make(map[link]int)
	for i := range n {
		for j := range n {
			if d[i][j] < far {
				o.dist[link{o.nodes[i], o.nodes[j]}] = d[i][j]
			}
		}
	}
}

// first is the next hop of policy simple.
func (o *oracle) first(self, dst uint64) uint64 {
	d := o.dist[link{self, dst}]
	if d == 1 {
		return dst
	}
	for _, n := range o.nodes { // lowest address first
		if dn, ok := o.dist[link{self, n}]; ok && dn == d-1 && o.usable(n, dst) {
			return o.first(self, n)
		}
	}
	panic("no way")
}

func (o *oracle) routes(self uint64, p Policy) map[uint64][]uint64 {
	routes := make(map[uint64][]uint64)
	for _, dst := range o.nodes {
		d, ok := o.dist[link{self, dst}]
		if !ok || dst == self {
			continue
		}
		first := o.first(self, dst)
		var next []uint64
		if p != ECMP {
			next = append(next, first)
		}
		for _, n := range o.nodes {
			if !o.usable(self, n) {
				continue
			}
			dn := o.dist[link{n, dst}]
			switch {
			case p == ECMP && dn+1 == d,
				p == LFA && n != dst && n != first && dn < o.dist[link{n, self}]+d:
				next = append(next, n)
			}
		}
		routes[dst] = next
	}
	return routes
}
