// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"o7gw/o7s/rib"
)

// Dir makes the directory "dht" of snapshots that take returns, e.g. under the
// driver's lock; text is the text form of an address. "stats" and "database"
// are those of the prototype (spec 40 §7.6), but for the counts of local and non-local
// values, which are not swapped (DHT-18); "contacts" and "counters" are ours.
func Dir(take func() Snapshot, text func(addr uint64) string) rib.Dir {
	return rib.Files{
		"contacts": func() rib.Entry { return take().contacts(text) },
		"counters": func() rib.Entry { return take().counters() },
		"database": func() rib.Entry { return take().database() },
		"stats":    func() rib.Entry { return take().statistics(text) },
	}
}

// Columns of the text form: numbers end in one column, other values stand
// behind their labels.
const (
	labelWidth  = 44
	numberWidth = 10
	timeLayout  = "2006-01-02 15:04:05 (UTC)"
)

// number is a line with a number.
func number[T int | uint64 | time.Duration](label string, n T) rib.Field {
	pad := max(labelWidth+numberWidth-len(fmt.Sprint(uint64(n))), len(label)+1)
	return rib.Field{Label: label + strings.Repeat(" ", pad-len(label)), Value: uint64(n)}
}

// short is how the prototype shows hashes and values: their first 8 bytes.
func short(b []byte) string { return hex.EncodeToString(b[:min(8, len(b))]) }

func (s Snapshot) statistics(text func(uint64) string) rib.Entry {
	f := []rib.Field{
		{Label: "DHT:", Value: short(s.ID)},
		{Label: "  Created:", Value: s.Created},
		{Label: "  Address:", Value: text(s.Self)},
		{Label: "  Kademlia parameters:"},
		number("     Number of concurrent requests (alpha):", s.Config.Alpha),
		number("     Number of replicas (k):", s.Config.K),
		number("     Expiry time for values (s):", s.Config.Expire/time.Second),
		number("     Refresh time for contacts (s):", s.Config.Refresh/time.Second),
		number("     Replication time for values (s):", s.Config.Replicate/time.Second),
	}
	return rib.Entry{Fields: append(f, s.counted()...)}
}

// counted are the lines that "stats" and "database" have in common.
func (s Snapshot) counted() []rib.Field {
	local, nonLocal := s.counts()
	return []rib.Field{
		number("  Number of keys:", len(s.Keys)),
		number("  Number of local values:", local),
		number("  Number of non-local values:", nonLocal),
	}
}

func (s Snapshot) database() rib.Entry {
	if len(s.Keys) == 0 {
		return rib.Entry{Fields: []rib.Field{{Label: "  No entries."}}}
	}
	f := s.counted()
	for _, k := range s.Keys {
		f = append(f, rib.Field{Label: "Key: K" + short(k.Key)})
		for _, list := range []struct {
			label string
			own   bool
		}{{"  Local entries:", true}, {"  Non-local entries:", false}} {
			f = append(f, rib.Field{Label: list.label})
			for _, v := range k.Values {
				if v.Own == list.own {
					f = append(f, rib.Field{
						Label: "    V" + short(binary.BigEndian.AppendUint64(nil, v.Addr)) + ",",
						Value: "t_replicated=" + stamp(v.Replicated) + ", t_exp=" + stamp(v.Expires),
					})
				}
			}
		}
	}
	return rib.Entry{Fields: f}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(timeLayout)
}

func (s Snapshot) contacts(text func(uint64) string) rib.Entry {
	var f []rib.Field
	for _, c := range s.Contacts {
		place := "in use"
		if c.Spare {
			place = "spare"
		}
		f = append(f, rib.Field{
			Label: "  " + short(c.ID) + ":",
			Value: fmt.Sprintf("%s, %s, heard=%s, failed=%d", text(c.Addr), place, stamp(c.Heard), c.Failed),
		})
	}
	return rib.Entry{Fields: append([]rib.Field{number("Number of contacts:", len(f))}, f...)}
}

func (s Snapshot) counters() rib.Entry {
	c := s.Counters
	f := []rib.Field{
		number("Outstanding requests:", s.Outstanding),
		number("Look-ups under way:", s.Lookups),
		number("Waiting publications:", s.Waiting),
		number("Evicted contacts that are asked again:", s.Missed),
		number("Look-ups of names:", c.Lookups),
		number("Failed look-ups of names:", c.LookupsFailed),
		number("Late requests:", c.TimedOut),
		number("Requests above the limit:", c.Refused),
		number("Evicted contacts:", c.Evicted),
		number("Refused values:", c.StoresRefused),
		number("Malformed messages:", c.Malformed),
		number("Rejected messages:", c.Rejected),
		number("Unexpected responses:", c.Unexpected),
	}
	for k, name := range []string{"STORE", "FIND_NODE_REQ", "FIND_NODE_RSP", "FIND_VALUE_REQ", "FIND_VALUE_RSP"} {
		f = append(f, number("Sent "+name+":", c.Sent[k]), number("Received "+name+":", c.Received[k]))
	}
	return rib.Entry{Fields: f}
}
