// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	node "o7gw/o7s/irm/config"
	"o7gw/o7s/qos"
)

// checker collects the mistakes that the decoder cannot see.
type checker struct {
	file    string
	places  places
	errs    []error
	names   map[string]bool   // "KIND NAME" of objects
	devices map[string]string // of interfaces, to who has it
	served  map[string]string // service names, to who serves them
	sockets map[string]string // local listening addresses, to who has them
}

func newChecker(file string, p places) *checker {
	return &checker{file: file, places: p, names: map[string]bool{}, devices: map[string]string{}, served: map[string]string{}, sockets: map[string]string{}}
}

func (c *checker) errorf(at place, key, format string, args ...any) {
	c.errs = append(c.errs, &node.Error{File: c.file, Line: at.line, Column: at.column, Key: key, Msg: fmt.Sprintf(format, args...)})
}

// table is the i-th table of a kind, being checked.
type table struct {
	*checker
	kind string
	at   tablePlaces
	name string // of the object, once it is known
}

func (c *checker) table(kind string, i int) *table {
	t := &table{checker: c, kind: kind, at: tablePlaces{at: place{1, 1}}}
	if i < len(c.places[kind]) {
		t.at = c.places[kind][i]
	}
	return t
}

// bad reports a mistake in the value of a key.
func (t *table) bad(key, format string, args ...any) {
	p, ok := t.at.keys[key]
	if !ok {
		p = t.at.at
	}
	t.errorf(p, t.kind+"."+key, format, args...)
}

// who names the object in texts about others.
func (t *table) who() string {
	if t.name == "" {
		return "[" + t.kind + "]"
	}
	return t.kind + " " + t.name
}

// objectName checks the name of an object.
func (t *table) objectName(name *string) string {
	if name != nil {
		t.name = *name
	}
	switch {
	case t.name == "":
		t.bad("name", "is missing: it tells objects of a kind apart in logs, status and reload")
	case t.names[t.kind+" "+t.name]:
		t.bad("name", "%q is the name of an earlier %s", t.name, t.kind)
	}
	t.names[t.kind+" "+t.name] = true
	return t.name
}

// maxService is the longest Ouroboros name, bytes (spec 40 §0.1).
const maxService = 255

// service checks an Ouroboros name.
func (t *table) service(key, name string) {
	switch {
	case name == "":
		t.bad(key, "is missing: an Ouroboros name")
	case len(name) > maxService:
		t.bad(key, "the name is longer than %d bytes", maxService)
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		t.bad(key, "%q has characters that names cannot have", name)
	}
}

// serve checks the name that an object serves: one object each.
func (t *table) serve(key, name string) {
	t.service(key, name)
	if name == "" {
		return
	}
	if by, ok := t.served[name]; ok {
		t.bad(key, "%s serves %s already", by, name)
		return
	}
	t.served[name] = t.who()
}

// deviceName is what Linux takes, less some characters that confuse people.
var deviceName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,15}$`)

// device checks the name of a network interface.
func (t *table) device(name string) {
	if !deviceName.MatchString(strings.Replace(name, "%d", "0", 1)) {
		t.bad("device", "%q is no name of a network interface: 1 to 15 of A-Z a-z 0-9 _ . -, and once %%d for a number", name)
	}
	if strings.Contains(name, "%d") {
		return
	}
	if by, ok := t.devices[name]; ok {
		t.bad("device", "%s has %s already", by, name)
		return
	}
	t.devices[name] = t.who()
}

// socket checks that nobody else listens on an address.
func (t *table) socket(key, network string, a netip.AddrPort) {
	at := network + " " + a.String()
	if by, ok := t.sockets[at]; ok && a.Port() != 0 {
		t.bad(key, "%s listens on %v already", by, a)
		return
	}
	t.sockets[at] = t.who()
}

// qos checks the name of a QoS; nil stays the default.
func (t *table) qos(key string, name *string, def qos.Spec) qos.Spec {
	if name == nil {
		return def
	}
	q, err := qos.Parse(*name)
	if err != nil {
		t.bad(key, "%q is none of raw, best, video, voice, data", *name)
	}
	return q
}

// duration sets dst if the key is there, and checks its bounds.
func (t *table) duration(key string, dst *time.Duration, from *duration, least, most time.Duration) {
	if from == nil {
		return
	}
	*dst = time.Duration(*from)
	if *dst < least || *dst > most {
		t.bad(key, "must be between %v and %v, not %v", least, most, *dst)
	}
}

// number sets dst if the key is there, and checks its bounds.
func (t *table) number(key, unit string, dst *int, from *int, least, most int) {
	if from == nil {
		return
	}
	*dst = *from
	if *dst < least || *dst > most {
		t.bad(key, "must be between %d and %d %s, not %d", least, most, unit, *dst)
	}
}

func set[T any](dst, from *T) {
	if from != nil {
		*dst = *from
	}
}
