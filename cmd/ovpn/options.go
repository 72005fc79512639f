// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"

	"o7gw/o7s/qos"
)

// usage is the prototype's text and the options added to it.
const usage = `Usage: ovpn [OPTION]...
Sends TCP/IP traffic over Ouroboros

  -n, --name                Run as client, name of ovpn server to connect to
  -i, --ip                  IP address to give to TUN device
  -m, --mask                Subnet mask to give to TUN device
                            (IPv6: prefix length)
  -q, --qos                 As client, QoS of the flow (raw, best, video,
                            voice, data; default raw)
      --json                Report as JSON objects, one per line
      --run-dir             Directory of the daemon to use

      --help                Display this help text and exit
`

// options are the command line, checked.
type options struct {
	name   string // empty: server
	addr   netip.Prefix
	qos    qos.Spec // of a client's flow
	json   bool
	runDir string
}

var errHelp = errors.New("help")

// textError is a line for the user in the prototype's words.
type textError string

func (e textError) Error() string { return string(e) }

// long options in the order of the prototype; the value says whether an
// argument follows.
var long = []struct {
	name string
	arg  bool
}{{"name", true}, {"ip", true}, {"mask", true}, {"help", false}, {"qos", true}, {"json", false}, {"run-dir", true}}

var short = map[byte]string{'n': "name", 'i': "ip", 'm': "mask", 'h': "help", 'q': "qos"}

// parse reads the command line as getopt_long does: long names may be
// abbreviated, values joined.
func parse(args []string) (options, error) {
	vals := map[string]string{}
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		name, value, joined := "", "", false
		switch {
		case a == "--":
			if len(args) > 0 {
				return options{}, unknown(args)
			}
			continue
		case strings.HasPrefix(a, "--"):
			name, value, joined = strings.Cut(a[2:], "=")
			full, err := complete(name)
			if err != nil {
				return options{}, err
			}
			name = full
		case len(a) > 1 && a[0] == '-':
			full, ok := short[a[1]]
			if !ok {
				return options{}, unknown([]string{a})
			}
			name, value = full, strings.TrimPrefix(a[2:], "=")
			joined = len(a) > 2
		default:
			return options{}, unknown(append([]string{a}, args...))
		}
		if name == "help" {
			return options{}, errHelp
		}
		if !takesArg(name) {
			if joined {
				return options{}, unknown([]string{a})
			}
			vals[name] = "yes"
			continue
		}
		if !joined {
			if len(args) == 0 {
				return options{}, textError(fmt.Sprintf("Option %s needs an argument.", a))
			}
			value, args = args[0], args[1:]
		}
		vals[name] = value
	}
	o := options{name: vals["name"], json: vals["json"] != "", runDir: vals["run-dir"]}
	var err error
	if o.addr, err = address(vals); err != nil {
		return o, err
	}
	o.qos, err = quality(vals, o.name)
	return o, err
}

// quality returns the QoS to ask for.
func quality(vals map[string]string, name string) (qos.Spec, error) {
	s, ok := vals["qos"]
	if !ok {
		return qos.Raw, nil
	}
	spec, err := qos.Parse(s)
	switch {
	case err != nil:
		return spec, textError("Unknown QoS cube: " + s + ".")
	case name == "":
		return spec, textError("The QoS is for a client: a server takes what is asked for.")
	}
	return spec, nil
}

func unknown(args []string) error {
	return textError("Unknown arguments specified: " + strings.Join(args, " ") + ".")
}

// complete finds the option of which s is the name or an unambiguous
// beginning.
func complete(s string) (string, error) {
	var found []string
	for _, l := range long {
		if l.name == s {
			return s, nil
		}
		if strings.HasPrefix(l.name, s) {
			found = append(found, l.name)
		}
	}
	if len(found) != 1 {
		return "", unknown([]string{"--" + s})
	}
	return found[0], nil
}

func takesArg(name string) bool {
	for _, l := range long {
		if l.name == name {
			return l.arg
		}
	}
	return false
}

// address joins the options ip and mask. The messages and their order are the
// prototype's.
func address(vals map[string]string) (netip.Prefix, error) {
	var addr netip.Addr
	if s, ok := vals["ip"]; ok {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Is4In6() || a.Zone() != "" {
			return netip.Prefix{}, textError("Invalid IP address: " + s + ".")
		}
		addr = a
	}
	n := -1
	if s, ok := vals["mask"]; ok {
		var valid bool
		if n, valid = maskLen(s); !valid {
			return netip.Prefix{}, textError("Invalid subnet mask: " + s + ".")
		}
	}
	switch {
	case !addr.IsValid():
		return netip.Prefix{}, textError("Please specify an IP address.")
	case n < 0:
		return netip.Prefix{}, textError("Please specify a subnetmask.")
	}
	p := netip.PrefixFrom(addr, n)
	if !p.IsValid() {
		return p, textError("Invalid subnet mask: " + vals["mask"] + ".")
	}
	return p, nil
}

// maskLen returns the prefix length of a mask such as 255.255.255.0, or of a
// number of bits with or without a slash.
func maskLen(s string) (int, bool) {
	if n, err := strconv.ParseUint(strings.TrimPrefix(s, "/"), 10, 8); err == nil && n <= 128 {
		return int(n), true
	}
	m, err := netip.ParseAddr(s)
	if err != nil || !m.Is4() {
		return 0, false
	}
	b := m.As4()
	v := binary.BigEndian.Uint32(b[:])
	n := bits.LeadingZeros32(^v)
	return n, v == ^uint32(0)<<(32-n)
}
