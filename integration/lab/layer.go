// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"fmt"
	"strings"
)

// EthLayer is the configuration of an eth-dix or eth-llc layer on one host,
// for StartDaemon.
type EthLayer struct {
	Type   string // "eth-dix" or "eth-llc"
	Name   string // of the IPC process, unique on the host; "eth" if empty
	Device string
	Serve  []string // names to register
}

// String returns the TOML table.
func (e EthLayer) String() string {
	if e.Name == "" {
		e.Name = "eth"
	}
	return fmt.Sprintf("[%s.%q]\nbootstrap = \"lan\"\ndev = %q\n", e.Type, e.Name, e.Device) + list("reg", e.Serve)
}

// Stacked is the configuration of a unicast or broadcast layer on one host, on top
// of the others, for StartDaemon.
type Stacked struct {
	Type      string   // "unicast" or "broadcast"
	Name      string   // of the IPC process; it is bound to it and to the layer's
	Bootstrap string   // layer to make
	Enroll    string   // or name of the member to join through
	Connect   []string // names of members to connect to
	Serve     []string // names to register
	Options   string   // further TOML lines
}

// String returns the TOML table.
func (s Stacked) String() string {
	head := fmt.Sprintf("[%s.%q]\nautobind = true\n", s.Type, s.Name)
	if s.Bootstrap != "" {
		head += fmt.Sprintf("bootstrap = %q\n", s.Bootstrap)
	} else {
		head += fmt.Sprintf("enrol = %q\n", s.Enroll)
	}
	return head + list("conn", s.Connect) + list("reg", s.Serve) + s.Options
}

// list returns a line with an array of names, nothing for none.
func list(key string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("%s = [\"%s\"]\n", key, strings.Join(names, `", "`))
}
