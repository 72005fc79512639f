// SPDX-License-Identifier: BSD-3-Clause

package config

// Keys that several kinds of tables have.
var (
	allowAt    = "applied to new sessions, and ends those that it forbids"
	allowDoc   = "Who may have what: a list of rules, each of which allows what matches all its keys: peers (names in certificates, * for any characters), layers, hosts, targets (prefixes), ports, protocols; docs/policy.md."
	limitsKeys = []Key{
		{Name: "max_sessions", Default: "16384", Unit: "sessions", Reload: nextUse, Doc: "Sessions at a time."},
		{Name: "max_per_peer", Default: "8192", Unit: "sessions", Reload: nextUse, Doc: "Sessions of one peer at a time, by the name in its certificate or, without one, by layer."},
		{Name: "rate", Default: "100.0", Example: "#", Unit: "sessions per second", Reload: nextUse, Doc: "New sessions per second, on average. Without it there is no limit."},
		{Name: "burst", Default: "100", Example: "#", Unit: "sessions", Reload: nextUse, Doc: "New sessions that may come at once within the rate. Without it: as many as rate."},
	}
	idleUDP     = Key{Name: "idle_udp", Default: `"3m"`, Unit: "time", Reload: nextUse, Doc: "A UDP session ends when nothing passed for so long."}
	qosKey      = Key{Name: "qos", Default: `"data"`, Example: "#", Reload: nextUse, Doc: "QoS of the flows: raw, best, video, voice or data. Without it: data for TCP, raw for UDP. Flows of TCP are reliable in any case."}
	maxSessions = Key{Name: "max_sessions", Default: "4096", Unit: "sessions", Reload: restart, Doc: "Sessions at a time; clients beyond wait."}
)

// ExposeKeys documents the keys of an [[expose]].
var ExposeKeys = join([]Key{
	{Name: "name", Example: `"web"`, Reload: "an object of a new name is started, one that is gone is stopped", Doc: "Name of the object in logs, status and reload."},
	{Name: "service", Example: `"web"`, Reload: restart, Doc: "The Ouroboros name to serve. Several gateways may serve one name."},
	{Name: "tcp", Default: "{}", Example: `{ "80" = "127.0.0.1:8080" }`, Reload: nextUse, Doc: "TCP services by the port at which clients see them. Requests without a port get the lowest."},
	{Name: "udp", Default: "{}", Reload: nextUse, Doc: "UDP services, in the same way."},
	{Name: "any_tcp", Default: `""`, Reload: nextUse, Doc: "A host, each TCP port of which is served as it is."},
	{Name: "any_udp", Default: `""`, Reload: nextUse, Doc: "The same for UDP."},
	{Name: "plain", Default: "false", Reload: restart, Doc: "Peers do not speak the session protocol: the bytes of a reliable flow are those of the only TCP service, as onc and other programs of Ouroboros want it."},
	{Name: "allow", Default: "the rule that allows everything", Reload: allowAt, Doc: allowDoc},
}, limitsKeys, []Key{
	{Name: "health", Default: `"tcp"`, Example: "#", Reload: atOnce, Doc: "Check the service of the lowest TCP port: tcp, whether a connection can be made, or a path such as /healthy, whether it answers with a status below 400. While it is down the name is not served. Without it: no checks."},
	{Name: "health_interval", Default: `"5s"`, Unit: "time", Reload: atOnce, Doc: "Time between two checks."},
	{Name: "health_timeout", Default: `"2s"`, Unit: "time", Reload: atOnce, Doc: "Time after which a check has failed."},
	{Name: "health_rise", Default: "1", Unit: "checks", Reload: atOnce, Doc: "Good checks in a row that bring the name back."},
	{Name: "health_fall", Default: "3", Unit: "checks", Reload: atOnce, Doc: "Bad checks in a row that take it away."},
	idleUDP,
	{Name: "dial_timeout", Default: `"5s"`, Unit: "time", Reload: nextUse, Doc: "How long a connection to the service may take."},
})

// ExitKeys documents the keys of an [[exit]].
var ExitKeys = join([]Key{
	{Name: "name", Example: `"internet"`, Reload: "an object of a new name is started, one that is gone is stopped", Doc: "Name of the object in logs, status and reload."},
	{Name: "service", Example: `"office.exit"`, Reload: restart, Doc: "The Ouroboros name to serve."},
	{Name: "allow", Example: `[{ targets = ["192.168.7.0/24"], protocols = ["tcp"], ports = "80,443" }]`, Reload: allowAt, Doc: allowDoc + " Nothing else is let out. Loopback, link-local and group addresses, and those of this machine, need a rule whose targets name them."},
}, limitsKeys, []Key{
	{Name: "servers", Default: "[]", Reload: restart, Doc: "DNS servers for the host names that clients send, such as 9.9.9.9:53. None: as the system says."},
	idleUDP,
	{Name: "dial_timeout", Default: `"10s"`, Unit: "time", Reload: nextUse, Doc: "How long a connection to a target may take, with the resolution of its name."},
})

// NamesKeys documents the keys of [names].
var NamesKeys = []Key{
	{Name: "zone", Default: `"o7s"`, Reload: restart, Doc: "NAME.zone is the service NAME."},
	{Name: "listen", Default: "[]", Reload: restart, Doc: "Further addresses of the DNS server, UDP and TCP. An intercept with names = true serves it at the first address of each range, 198.18.0.1 and fd61:19fe:dbd5::1, without any of them."},
	{Name: "upstream", Default: "[]", Reload: atOnce, Doc: "DNS servers for all other names, such as 9.9.9.9:53. None: those are refused."},
	{Name: "v4", Default: `"198.18.0.0/15"`, Reload: restart, Doc: "Range of the IPv4 addresses that stand for names: one that is used nowhere near. Empty: none."},
	{Name: "v6", Default: `"fd61:19fe:dbd5::/64"`, Reload: restart, Doc: "Range of the IPv6 addresses. Empty: none."},
	{Name: "ttl", Default: `"1m"`, Unit: "time", Reload: atOnce, Doc: "How long clients may remember an answer."},
	{Name: "max", Default: "32768", Unit: "names", Reload: restart, Doc: "Names that have addresses at a time."},
	{Name: "check", Default: "true", Reload: restart, Doc: "Ask the layers whether somebody serves a name; if not it does not exist (NXDOMAIN). false: every name exists, and connections to what nobody serves are refused."},
	{Name: "resolved", Default: "true", Reload: restart, Doc: "Tell systemd-resolved, if it runs, to ask here for the zone."},
}

// InterceptKeys documents the keys of an [[intercept]].
var InterceptKeys = []Key{
	{Name: "name", Example: `"local"`, Reload: "an object of a new name is started, one that is gone is stopped", Doc: "Name of the object in logs, status and reload."},
	{Name: "device", Default: `"o7i%d"`, Reload: restart, Doc: "Name of the network interface that is made, at most 15 characters; %d stands for a free number."},
	{Name: "address", Default: "[]", Reload: restart, Doc: "Addresses of the interface, with prefix lengths."},
	{Name: "prefixes", Default: "[]", Reload: restart, Doc: "Destinations to take, beside those of names. 0.0.0.0/0 and ::/0 take everything but what other routes know more exactly, and the gateway's own packets."},
	{Name: "exits", Default: "[]", Reload: nextUse, Doc: "Services that reach prefixes, in order of preference: the next one if nobody serves the one before. None: as [[route]] says."},
	{Name: "names", Default: "false", Example: "true", Reload: restart, Doc: "Take the addresses that stand for names, and serve DNS there; needs [names]."},
	{Name: "from", Default: "[]", Reload: restart, Doc: "Take only packets of these sources, such as the subnet behind this gateway."},
	{Name: "iif", Default: "[]", Reload: restart, Doc: "Take only packets that come in at these interfaces."},
	{Name: "mtu", Default: "65520", Unit: "bytes", Reload: restart, Doc: "MTU of the interface. Connections end here, so it need not fit any flow."},
	{Name: "max_sessions", Default: "16384", Unit: "sessions", Reload: restart, Doc: "TCP connections, and as many UDP sessions, at a time."},
	{Name: "max_per_source", Default: "8192", Unit: "sessions", Reload: restart, Doc: "The same of one address."},
	{Name: "max_half_open", Default: "1024", Unit: "connections", Reload: restart, Doc: "Attempts to connect that wait for their flow."},
	idleUDP,
}

// ForwardKeys documents the keys of a [[forward]].
var ForwardKeys = []Key{
	{Name: "name", Example: `"web"`, Reload: "an object of a new name is started, one that is gone is stopped", Doc: "Name of the object in logs, status and reload."},
	{Name: "listen", Example: `["tcp:127.0.0.1:8088"]`, Reload: atOnce, Doc: "Local addresses, with tcp: or udp: in front."},
	{Name: "service", Example: `"web"`, Reload: nextUse, Doc: "The Ouroboros name that they lead to."},
	{Name: "port", Default: "80", Example: "#", Unit: "port", Reload: nextUse, Doc: "Port of the service. Without it: its lowest."},
	{Name: "host", Default: `""`, Reload: nextUse, Doc: "A host or address beyond the exit that service names, with port."},
	{Name: "plain", Default: "false", Reload: nextUse, Doc: "The service does not speak the session protocol: a program of Ouroboros that takes a byte stream, such as onc -l."},
	qosKey, maxSessions,
	{Name: "idle_udp", Default: `"3m"`, Unit: "time", Reload: restart, Doc: idleUDP.Doc},
}

// SocksKeys documents the keys of [socks].
var SocksKeys = []Key{
	{Name: "listen", Default: `["127.0.0.1:1080"]`, Reload: atOnce, Doc: "Local addresses."},
	{Name: "users", Default: "{}", Reload: nextUse, Doc: `Names with passwords, such as { alice = "secret" }. None: everybody who reaches listen may use it.`},
	maxSessions,
	{Name: "idle_udp", Default: `"3m"`, Unit: "time", Reload: restart, Doc: idleUDP.Doc},
}

// HTTPKeys documents the keys of [http].
var HTTPKeys = []Key{
	{Name: "listen", Default: `["127.0.0.1:3128"]`, Reload: atOnce, Doc: "Local addresses."},
	{Name: "users", Default: "{}", Reload: nextUse, Doc: "Names with passwords (Basic). None: everybody who reaches listen may use it."},
	maxSessions,
}

// SegmentKeys documents the keys of a [[segment]].
var SegmentKeys = []Key{
	{Name: "name", Example: `"lan"`, Reload: "an object of a new name is started, one that is gone is stopped", Doc: "Name of the object in logs, status and reload."},
	{Name: "device", Default: `"o7seg%d"`, Reload: restart, Doc: "Name of the TAP interface that is made; %d stands for a free number."},
	{Name: "listen", Default: "[]", Example: `["lan.hub"]`, Reload: restart, Doc: "Ouroboros names under which other members reach this one."},
	{Name: "connect", Default: "[]", Reload: restart, Doc: "Names of members to keep flows to."},
	{Name: "layer", Default: `""`, Reload: restart, Doc: "A broadcast layer that carries the segment."},
	{Name: "address", Default: "[]", Reload: restart, Doc: "Addresses of the interface, with prefix lengths; none if it goes into a bridge."},
	{Name: "mtu", Default: "1500", Unit: "bytes", Reload: restart, Doc: "MTU of the interface."},
	{Name: "relay", Default: "true", Reload: atOnce, Doc: "Carry frames from member to member, so that any topology is one LAN. false at a hub: its members reach the hub alone."},
	{Name: "max_peers", Default: "256", Unit: "members", Reload: nextUse, Doc: "Members that connect here at a time."},
	{Name: "max_macs", Default: "4096", Unit: "addresses", Reload: nextUse, Doc: "Ethernet addresses that are remembered."},
	{Name: "age", Default: `"5m"`, Unit: "time", Reload: nextUse, Doc: "How long one is remembered that sends nothing."},
	{Name: "flood_rate", Default: "5000", Unit: "frames per second", Reload: atOnce, Doc: "Frames from one member that go to all others, at most."},
	{Name: "qos", Default: `"raw"`, Reload: nextUse, Doc: "QoS of the flows: raw, best, video, voice or data."},
	{Name: "timeout", Default: `"15s"`, Unit: "time", Reload: nextUse, Doc: "Silence after which a member is given up."},
	{Name: "reconnect_min", Default: `"500ms"`, Unit: "time", Reload: atOnce, Doc: "Longest first pause before connecting again; pauses are random, and their limit doubles."},
	{Name: "reconnect_max", Default: `"30s"`, Unit: "time", Reload: atOnce, Doc: "Upper end of that limit."},
}

// RouteKeys documents the keys of a [[route]].
var RouteKeys = []Key{
	{Name: "exit", Example: `"office.exit"`, Reload: nextUse, Doc: "The service of an exit."},
	{Name: "prefixes", Default: "[]", Example: `["192.168.7.0/24"]`, Reload: nextUse, Doc: "Addresses that it reaches."},
	{Name: "hosts", Default: "[]", Example: `["*.office.example"]`, Reload: nextUse, Doc: `Host names that it reaches: names, "*." and a name for all below it, or "*".`},
	{Name: "ports", Default: `"1-65535"`, Reload: nextUse, Doc: "Ports, such as 80,443,8000-8099."},
	{Name: "protocols", Default: `["tcp", "udp"]`, Reload: nextUse, Doc: "Protocols."},
}

// QoSKeys documents the keys of a [[qos]].
var QoSKeys = []Key{
	{Name: "protocols", Default: "[]", Reload: nextUse, Doc: "Protocols, tcp and udp. None are both."},
	{Name: "ports", Default: `"1-65535"`, Example: `"27960"`, Reload: nextUse, Doc: "Ports."},
	{Name: "dscp", Default: "[]", Example: "[46]", Reload: nextUse, Doc: "Marks that programs set on their packets (intercepts only). None are all."},
	{Name: "services", Default: "[]", Reload: nextUse, Doc: "Ouroboros names. None are all."},
	{Name: "qos", Example: `"voice"`, Reload: nextUse, Doc: "The QoS: raw, best, video, voice or data."},
}

// WebKeys documents the keys of [web].
var WebKeys = []Key{
	{Name: "listen", Default: `"127.0.0.1:8077"`, Reload: restart, Doc: "Address of the page."},
	{Name: "token", Default: `"0123456789abcdef"`, Example: "#", Reload: atOnce, Doc: "What readers must show, once, as ?token=; needed where listen is not the loopback interface."},
	{Name: "hosts", Default: "[]", Reload: atOnce, Doc: "Names under which browsers may ask for the page, beside localhost and addresses."},
}

func join(lists ...[]Key) (all []Key) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
