// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"io"
	"strings"
)

// Key documents one key of the file.
type Key struct {
	Name    string
	Default string // as TOML; empty: none, the key or an alternative must be set
	Example string // as TOML; empty: the default is shown, commented out
	Unit    string
	Reload  string // what a reload does
	Doc     string
}

// What a reload (SIGHUP) does with a changed key.
const (
	atOnce  = "applied at once"
	nextUse = "applied to the next connection"
	restart = "needs a restart of the gateway"
)

// TopKeys documents the keys outside of tables.
var TopKeys = []Key{
	{Name: "irmd", Default: "false", Reload: restart,
		Doc: "Use the IRM daemon that runs in run_dir. false: the gateway has a node of its own, set up by the tables below."},
	{Name: "run_dir", Default: `""`, Reload: restart,
		Doc: "Directory of the control sockets. Empty: $O7S_RUN_DIR, or /run/ouroboros for root, or $XDG_RUNTIME_DIR/ouroboros."},
	{Name: "security_dir", Default: `""`, Reload: restart,
		Doc: "Directory of keys, certificates and enc.conf files of the gateway's own node. Empty: /etc/ouroboros/security for root, $XDG_CONFIG_HOME/ouroboros/security for others."},
	{Name: "grace", Default: `"10s"`, Unit: "time", Reload: atOnce,
		Doc: "How long the end of the gateway (SIGTERM) waits for open sessions; new ones are refused meanwhile."},
}

// Kind documents the tables of one kind of object.
type Kind struct {
	Name string
	Many bool // [[name]]; else there is at most one, [name]
	Doc  string
	Keys []Key
}

// header is the line that begins a table.
func (k *Kind) header() string {
	if k.Many {
		return "[[" + k.Name + "]]"
	}
	return "[" + k.Name + "]"
}

// Kinds documents all tables of the gateway, in the order of the sample.
var Kinds = []Kind{
	{"tunnel", true, "A tunnel: IP packets between a network interface and flows.", TunnelKeys},
	{"expose", true, "An expose: an Ouroboros name served by local TCP and UDP services.", ExposeKeys},
	{"exit", true, "An exit: an Ouroboros name that dials out for others.", ExitKeys},
	{"names", false, "Names: a DNS server that answers for NAME.o7s with an address that an intercept takes.", NamesKeys},
	{"intercept", true, "An intercept: connections of unmodified programs to names, or to destinations beyond an exit.", InterceptKeys},
	{"forward", true, "A forward: local addresses that lead to a service; needs no privileges.", ForwardKeys},
	{"socks", false, "A SOCKS5 server, for programs that know such proxies; needs no privileges.", SocksKeys},
	{"http", false, "An HTTP proxy (CONNECT and plain requests); needs no privileges.", HTTPKeys},
	{"segment", true, "A segment: an Ethernet LAN over flows.", SegmentKeys},
	{"route", true, "A route: destinations beyond an exit, for socks, http and intercepts without exits.", RouteKeys},
	{"qos", true, "A rule that chooses the QoS of flows; the first that matches decides.", QoSKeys},
	{"web", false, "The live web page, with metrics at /metrics.", WebKeys},
}

// TunnelKeys documents the keys of a [[tunnel]].
var TunnelKeys = []Key{
	{Name: "name", Example: `"office"`, Reload: "a tunnel of a new name is started, one that is gone is stopped",
		Doc: "Name of the tunnel in logs, status and reload."},
	{Name: "device", Default: `"o7gw%d"`, Reload: restart,
		Doc: "Name of the network interface that is made, at most 15 characters; %d stands for a free number."},
	{Name: "listen", Example: `"office.vpn"`, Reload: restart,
		Doc: "Server: the Ouroboros name to serve. Either listen or connect."},
	{Name: "connect", Example: "#", Default: `"office.vpn"`, Reload: restart,
		Doc: "Client: the name of a server to keep a flow to."},
	{Name: "mode", Default: `"o7gw"`, Reload: restart,
		Doc: `"plain" speaks with ovpn: one peer, bare IP packets, nothing announced; the peer is given the prefixes of allow.`},
	{Name: "address", Default: "[]", Example: `["10.77.0.1/24", "fd00:77::1/64"]`, Reload: restart,
		Doc: "Addresses of the interface with their prefix lengths."},
	{Name: "announce", Default: "[]", Reload: atOnce,
		Doc: "Prefixes behind this gateway to tell the peers, beside the own addresses; on a server also the clients' network, so that clients reach each other."},
	{Name: "allow", Default: "the networks of address", Reload: atOnce,
		Doc: "Prefixes that peers may announce; packets from elsewhere are dropped."},
	{Name: "routes", Default: "true", Reload: atOnce,
		Doc: "Give the kernel routes to what peers announce. A default route is never set."},
	{Name: "relay", Default: "false", Reload: atOnce,
		Doc: "Carry packets between peers without the kernel, its routing and its firewall."},
	{Name: "mtu", Default: "0", Unit: "bytes", Reload: atOnce,
		Doc: "MTU of the interface; 0 follows the flows."},
	{Name: "mss_clamp", Default: "true", Reload: atOnce,
		Doc: "Lower the MSS option of TCP connections to what fits the flow."},
	{Name: "max_peers", Default: "256", Unit: "peers", Reload: nextUse,
		Doc: "Clients that a server takes at once."},
	{Name: "qos", Default: `"raw"`, Reload: nextUse,
		Doc: "Client: QoS of the flow: raw, best, video, voice or data. IP recovers what is lost itself, and a second recovery below, that of data, would fight it."},
	{Name: "timeout", Default: `"15s"`, Unit: "time", Reload: nextUse,
		Doc: "Client: silence after which the flow is given up. Keepalives go every quarter of it."},
	{Name: "reconnect_min", Default: `"500ms"`, Unit: "time", Reload: atOnce,
		Doc: "Longest first pause before a client connects again; pauses are random, and their limit doubles."},
	{Name: "reconnect_max", Default: `"30s"`, Unit: "time", Reload: atOnce,
		Doc: "Upper end of that limit."},
}

// sampleHead is the part of the sample before the keys of the gateway.
const sampleHead = `# Configuration of o7gw. Check it with "o7gw check FILE"; "kill -HUP" makes a
# running gateway read it again. Each key says: unit, default, what a reload does.
# Keys behind "# " show their default. Tables behind "#: " are off: take that away
# from the lines of one to turn it on. docs/guide.md has whole set-ups.

`

const sampleNode = `# The embedded node: tables as in the configuration of irmd. Hosts of a udp4
# layer find each other's services by the table hosts, or by a DNS server (dns).
[udp4.internet]
bootstrap = "internet"
ip        = "192.0.2.1"          # own address
# hosts   = { "office.vpn" = "192.0.2.1" }   # on clients: who serves what

`

// Sample writes a commented file with every key; it is valid.
func Sample(w io.Writer) error {
	var b strings.Builder
	b.WriteString(sampleHead)
	for _, k := range TopKeys {
		k.write(&b)
	}
	b.WriteString("\n" + sampleNode)
	for i := range Kinds {
		Kinds[i].write(&b, i > 0)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// write writes a table with its comments; a table that is off is commented out
// as a whole, with #: before the lines that make it.
func (k *Kind) write(b *strings.Builder, off bool) {
	fmt.Fprintf(b, "# %s\n", k.Doc)
	prefix := ""
	if off {
		prefix = offMark
	}
	fmt.Fprintf(b, "%s%s\n", prefix, k.header())
	for i := range k.Keys {
		k.Keys[i].writeAs(b, prefix)
	}
	if k.Name != Kinds[len(Kinds)-1].Name {
		b.WriteString("\n")
	}
}

// offMark stands before the lines of a table that the sample does not set.
const offMark = "#: "

// write writes the key with its comment.
func (k *Key) write(b *strings.Builder) { k.writeAs(b, "") }

func (k *Key) writeAs(b *strings.Builder, prefix string) {
	facts := []string{}
	if k.Unit != "" {
		facts = append(facts, "unit: "+k.Unit)
	}
	if k.Default != "" && k.Example != "#" {
		facts = append(facts, "default: "+k.Default)
	}
	facts = append(facts, "reload: "+k.Reload)
	for _, line := range wrap(k.Doc+" ("+strings.Join(facts, "; ")+")", 76) {
		fmt.Fprintf(b, "# %s\n", line)
	}
	switch {
	case k.Example != "" && k.Example != "#":
		fmt.Fprintf(b, "%s%s = %s\n", prefix, k.Name, k.Example)
	case strings.HasPrefix(k.Default, "the "):
		fmt.Fprintf(b, "# %s = []\n", k.Name)
	default:
		fmt.Fprintf(b, "# %s = %s\n", k.Name, k.Default)
	}
}

// wrap breaks text into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
