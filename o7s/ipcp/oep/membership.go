// SPDX-License-Identifier: BSD-3-Clause

package oep

import (
	"bytes"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
)

// Membership is what an enrollee gets: the configuration of the layer, which is
// of type Unicast or Broadcast, without any defaults left to fill in.
type Membership struct {
	Config ipcp.Config
	// Peer is the DT address of the member that answers, which is the
	// enrollee's way into the directory; 0: there is none (spec 10 §7.2,
	// dht.peer).
	Peer uint64
}

// Words of the configuration by their numbers on the wire (spec 10 §7.2).
var (
	addrAuths   = []string{"flat"}
	congestions = []string{"none", "mb-ecn"}
	routings    = []string{"link_state", "lfa", "ecmp"}
	directories = []string{"DHT"}
)

// number returns the number of a word; an empty one is the default.
func number(words []string, s string, empty uint64) uint64 {
	for i, w := range words {
		if w == s {
			return uint64(i)
		}
	}
	return empty
}

func word(at *string, words []string, what string) func(uint64) error {
	return func(v uint64) error {
		if v >= uint64(len(words)) {
			return fmt.Errorf("%s policy %d is unknown: %w", what, v, errMessage)
		}
		*at = words[v]
		return nil
	}
}

// within takes a number from low to high. The prototype cuts off what does not
// fit (OEP-5), and never looks for 0, with which no layer works.
func within(at *int, low, high uint64, what string) func(uint64) error {
	return func(v uint64) error {
		if v < low || v > high {
			return fmt.Errorf("%s %d is not in %d to %d: %w", what, v, low, high, errMessage)
		}
		*at = int(v)
		return nil
	}
}

func message(at *[]byte) func([]byte) error {
	return func(b []byte) error {
		*at = b
		return nil
	}
}

// append appends an ipcp_config_msg.
func (m Membership) append(b []byte) []byte {
	info := appendBytes(nil, 1, []byte(m.Config.Layer))
	info = appendNumber(info, 2, uint64(m.Config.Hash))
	b = appendBytes(b, 1, info)
	b = appendNumber(b, 2, uint64(m.Config.Type))
	if m.Config.Type == ipcp.Unicast {
		b = appendBytes(b, 3, m.unicast())
	}
	return b
}

func (m Membership) unicast() []byte {
	c := m.Config.Unicast
	ls := appendNumber(nil, 1, number(routings, c.Routing, 0))
	ls = appendNumber(ls, 2, uint64(c.LSRecalc))
	ls = appendNumber(ls, 3, uint64(c.LSUpdate))
	ls = appendNumber(ls, 4, uint64(c.LSTimeo))
	routing := appendNumber(nil, 1, 0) // link state
	routing = appendBytes(routing, 2, ls)
	dt := appendNumber(nil, 1, uint64(c.AddrSize))
	dt = appendNumber(dt, 2, uint64(c.EIDSize))
	dt = appendNumber(dt, 3, uint64(c.MaxTTL))
	dt = appendBytes(dt, 4, routing)

	dht := appendNumber(nil, 1, uint64(c.DHTAlpha))
	dht = appendNumber(dht, 2, uint64(c.DHTK))
	dht = appendNumber(dht, 3, uint64(c.DHTExpire))
	dht = appendNumber(dht, 4, uint64(c.DHTRefresh))
	dht = appendNumber(dht, 5, uint64(c.DHTReplic))
	dht = appendNumber(dht, 6, m.Peer)
	dir := appendNumber(nil, 1, number(directories, c.Directory, 0))
	dir = appendBytes(dir, 2, dht)

	b := appendBytes(nil, 1, dt)
	b = appendBytes(b, 2, dir)
	b = appendNumber(b, 3, number(addrAuths, c.AddrAuth, 0))
	return appendNumber(b, 4, number(congestions, c.Congestion, 1))
}

// Numbers of a configuration, and their places.
type (
	numbers  = map[protowire.Number]func(uint64) error
	messages = map[protowire.Number]func([]byte) error
)

// maxLayerName is the longest name of a layer in bytes (OEP-2).
const maxLayerName = 255

func parseMembership(b []byte) (m Membership, err error) {
	var info, unicast []byte
	var typ, hash uint64
	err = reader{
		what: "configuration", numbers: numbers{2: set(&typ)}, messages: messages{1: message(&info), 3: message(&unicast)},
		required: []protowire.Number{1, 2},
	}.read(b)
	if err != nil {
		return m, err
	}
	err = reader{
		what: "layer", numbers: numbers{2: set(&hash)}, required: []protowire.Number{1, 2},
		messages: messages{1: func(b []byte) error {
			if len(b) < 1 || len(b) > maxLayerName || bytes.IndexByte(b, 0) >= 0 {
				return fmt.Errorf("layer name %q of %d bytes: %w", b, len(b), errMessage)
			}
			m.Config.Layer = string(b)
			return nil
		}},
	}.read(info)
	if err != nil {
		return m, err
	}
	if hash > uint64(layer.SHA3_512) {
		return m, fmt.Errorf("directory hash %d is unknown: %w", hash, errMessage)
	}
	m.Config.Hash = layer.HashAlgo(hash)
	switch typ {
	case uint64(ipcp.Unicast):
		m.Config.Type = ipcp.Unicast
		return m, m.parseUnicast(unicast)
	case uint64(ipcp.Broadcast):
		m.Config.Type = ipcp.Broadcast
		return m, nil
	}
	return m, fmt.Errorf("IPCP type %d does not enrol: %w", typ, errMessage)
}

// parseUnicast reads a uni_config_msg. All parts must be there (OEP-1).
func (m *Membership) parseUnicast(b []byte) error {
	c := &m.Config.Unicast
	var dt, dir, routing, ls, dht []byte
	var policy uint64
	u8, u32 := uint64(math.MaxUint8), uint64(math.MaxInt32) // the latter fits an int anywhere
	parts := []struct {
		at *[]byte
		r  reader
	}{
		{&b, reader{
			what: "unicast configuration", required: []protowire.Number{1, 2, 3, 4},
			messages: messages{1: message(&dt), 2: message(&dir)},
			numbers:  numbers{3: word(&c.AddrAuth, addrAuths, "address"), 4: word(&c.Congestion, congestions, "congestion avoidance")},
		}},
		{&dt, reader{
			what: "data transfer configuration", required: []protowire.Number{1, 2, 3, 4},
			messages: messages{4: message(&routing)},
			numbers:  numbers{1: within(&c.AddrSize, 1, u8, "address size"), 2: within(&c.EIDSize, 1, u8, "EID size"), 3: within(&c.MaxTTL, 1, u8, "maximum TTL")},
		}},
		{&routing, reader{
			what: "routing configuration", required: []protowire.Number{1, 2},
			messages: messages{2: message(&ls)}, numbers: numbers{1: set(&policy)},
		}},
		{&ls, reader{
			what: "link-state configuration", required: []protowire.Number{1, 2, 3, 4},
			numbers: numbers{
				1: word(&c.Routing, routings, "link-state"), 2: within(&c.LSRecalc, 0, u32, "recalculation time"),
				3: within(&c.LSUpdate, 1, u32, "update time"), 4: within(&c.LSTimeo, 1, u32, "timeout"),
			},
		}},
		{&dir, reader{
			what: "directory configuration", required: []protowire.Number{1, 2},
			messages: messages{2: message(&dht)}, numbers: numbers{1: word(&c.Directory, directories, "directory")},
		}},
		{&dht, reader{
			what: "DHT configuration", required: []protowire.Number{1, 2, 3, 4, 5, 6},
			numbers: numbers{
				1: within(&c.DHTAlpha, 1, u32, "alpha"), 2: within(&c.DHTK, 1, u32, "k"), 3: within(&c.DHTExpire, 1, u32, "expiry time"),
				4: within(&c.DHTRefresh, 1, u32, "refresh time"), 5: within(&c.DHTReplic, 1, u32, "replication time"), 6: set(&m.Peer),
			},
		}},
	}
	for _, p := range parts {
		if err := p.r.read(*p.at); err != nil {
			return err
		}
	}
	switch {
	case policy != 0:
		return fmt.Errorf("routing policy %d is unknown: %w", policy, errMessage)
	case c.AddrSize < 8 && m.Peer>>(8*c.AddrSize) != 0:
		return fmt.Errorf("address %d of the member has more than %d bytes: %w", m.Peer, c.AddrSize, errMessage)
	}
	return nil
}
