// SPDX-License-Identifier: BSD-3-Clause

package metrics

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"o7gw/o7s/rib"
)

// maxNeighbours bounds the entries of data transfer that are read of one IPC
// process.
const maxNeighbours = 128

// embedded adds what the RIB of a node says (irm.RIB). Entries of single flows are
// left out: there are as many as sessions.
func embedded(e *exposition, tree *rib.Tree) {
	top, err := tree.List("")
	if err != nil { // no node in this process
		return
	}
	types := map[string]int{}
	for _, item := range top {
		p := process{e: e, tree: tree, dir: item.Name}
		if p.typ = p.word("info/_type"); p.typ == "" {
			continue // the IRM's own directory
		}
		if p.name, _ = rib.Unescape(item.Name); p.name == "" {
			p.name = item.Name
		}
		p.layer = p.word("info/_layer")
		types[p.typ]++
		p.add()
	}
	for _, t := range slices.Sorted(maps.Keys(types)) {
		e.add("ouroboros_ipcps", gauge, "IPC processes of a type.", float64(types[t]), "type", t)
	}
	if counts, err := tree.Read("irm/status/counts"); err == nil {
		numbers(e, "ouroboros_irm_", gauge, counts)
	}
	if shakes, err := tree.Read("irm/status/handshakes"); err == nil {
		numbers(e, "ouroboros_irm_handshakes_", counter, shakes)
	}
}

// process is an IPC process in the RIB.
type process struct {
	e                *exposition
	tree             *rib.Tree
	dir              string // in the RIB
	name, layer, typ string
}

func (p *process) labels(more ...string) []string {
	return append([]string{"ipcp", p.name, "layer", p.layer}, more...)
}

// word reads an entry of one word.
func (p *process) word(path string) string {
	e, err := p.tree.Read(p.dir + "/" + path)
	if err != nil || len(e.Fields) != 1 {
		return ""
	}
	s, _ := e.Fields[0].Value.(string)
	return s
}

func (p *process) add() {
	p.e.add("ouroboros_ipcp_operational", gauge, "1: the IPC process is operational.", number(p.word("info/_state") == "operational"), p.labels("type", p.typ)...)
	for _, a := range []struct{ path, prefix string }{
		{"stats/counters", "ouroboros_ipcp_"},
		{"flow-allocation/stats", "ouroboros_flow_allocator_"},
		{"data-transfer/own", "ouroboros_data_transfer_own_"},
		{"lsdb/stats", "ouroboros_link_state_"},
	} {
		if entry, err := p.tree.Read(p.dir + "/" + a.path); err == nil {
			numbers(p.e, a.prefix, unknown, entry, p.labels("type", p.typ)...)
		}
	}
	p.links()
	items, _ := p.tree.List(p.dir)
	for _, item := range items {
		if strings.HasPrefix(item.Name, "dt.") {
			p.transfer(item.Name)
		}
	}
}

// links counts what the link-state database has: links are entries
// "<source>--<destination>", own neighbours "dt.<address>".
func (p *process) links() {
	items, err := p.tree.List(p.dir + "/lsdb")
	if err != nil {
		return
	}
	links, neighbours, nodes := 0, 0, map[string]bool{}
	for _, item := range items {
		if src, dst, ok := strings.Cut(item.Name, "--"); ok {
			links++
			nodes[src], nodes[dst] = true, true
		} else if strings.HasPrefix(item.Name, "dt.") {
			neighbours++
		}
	}
	p.e.add("ouroboros_lsdb_links", gauge, "Links in the link-state database.", float64(links), p.labels()...)
	p.e.add("ouroboros_lsdb_nodes", gauge, "Nodes in the link-state database.", float64(len(nodes)), p.labels()...)
	p.e.add("ouroboros_lsdb_neighbors", gauge, "Own neighbours for data transfer.", float64(neighbours), p.labels()...)
}

// transferNames are the names of the prototype's exporter for the lines of
// data transfer (spec 50 §3.3), without "_total".
var transferNames = map[string]string{
	"sent": "sent_%", "rcvd": "recv_%", "local sent": "local_sent_%", "local rcvd": "local_recv_%",
	"dropped ttl": "ttl_%_dropped", "failed writes": "write_%_dropped", "failed nhop": "nhop_%_dropped",
}

// transfer reads the directory dt.<address>: the components of the process,
// and its neighbours.
func (p *process) transfer(dir string) {
	items, _ := p.tree.List(p.dir + "/" + dir)
	for _, item := range items[:min(len(items), maxNeighbours)] {
		entry, err := p.tree.Read(p.dir + "/" + dir + "/" + item.Name)
		if err != nil {
			continue
		}
		endpoint, cube := "", ""
		for _, f := range entry.Fields {
			label := strings.TrimSuffix(strings.TrimSpace(f.Label), ":")
			if label == "Endpoint address" {
				endpoint, _ = f.Value.(string)
				continue
			}
			if n, ok := strings.CutPrefix(label, "Qos cube"); ok && f.Value == nil {
				cube = strings.TrimSpace(n)
				continue
			}
			v, ok := value(f.Value)
			if !ok {
				continue
			}
			if way, ok := strings.CutPrefix(label, "Queued packets ("); ok {
				p.e.add("ouroboros_data_transfer_queued_packets_"+strings.TrimSuffix(way, ")"), gauge,
					"Packets that wait.", v, p.labels("flow", item.Name, "endpoint", endpoint)...)
				continue
			}
			what, unit, _ := strings.Cut(label, " (")
			if name := transferNames[what]; name != "" {
				name = strings.Replace(name, "%", strings.TrimSuffix(unit, ")"), 1)
				p.e.add("ouroboros_data_transfer_"+name, counter, "Data transfer of a QoS cube: "+what+".", v,
					p.labels("flow", item.Name, "cube", cube, "endpoint", endpoint)...)
			}
		}
	}
}

// numbers adds the numbers of an entry, with names made of their labels.
func numbers(e *exposition, prefix string, k kind, entry rib.Entry, labels ...string) {
	for _, f := range entry.Fields {
		name := snake(f.Label)
		if v, ok := value(f.Value); ok && name != "" {
			e.add(prefix+name, k, strings.TrimSuffix(strings.TrimSpace(f.Label), ":")+".", v, labels...)
		}
	}
}

// value is the number in a RIB's field.
func value(v any) (float64, bool) {
	if b, ok := v.(bool); ok {
		return number(b), true
	}
	return numeric(reflect.ValueOf(v))
}

// snake makes a name of a label: "Dropped queue full (packets):" is
// "dropped_queue_full_packets".
func snake(label string) string {
	words := strings.FieldsFunc(strings.ToLower(label), func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return strings.Join(words, "_")
}
