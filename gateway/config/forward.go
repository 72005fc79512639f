// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"net/netip"
	"strings"
	"time"

	"o7gw/proxy/forward"
	"o7gw/proxy/httpproxy"
	"o7gw/proxy/socks"
)

// forwardTable is one [[forward]]; nil is: not set.
type forwardTable struct {
	Name        *string   `toml:"name"`
	Listen      []string  `toml:"listen"`
	Service     string    `toml:"service"`
	Port        *int      `toml:"port"`
	Host        *string   `toml:"host"`
	Plain       *bool     `toml:"plain"`
	QoS         *string   `toml:"qos"`
	MaxSessions *int      `toml:"max_sessions"`
	IdleUDP     *duration `toml:"idle_udp"`
}

func (c *checker) forward(i int, in *forwardTable) forward.Config {
	t := c.table("forward", i)
	cfg := forward.Defaults()
	cfg.Name = t.objectName(in.Name)
	cfg.Service = in.Service
	t.service("service", in.Service)
	if len(in.Listen) == 0 {
		t.bad("listen", `is missing: such as ["tcp:127.0.0.1:8080"]`)
	}
	for _, l := range in.Listen {
		network, text, _ := strings.Cut(l, ":")
		var a endpoint
		err := a.UnmarshalText([]byte(text))
		switch {
		case network != "tcp" && network != "udp":
			t.bad("listen", "%q does not begin with tcp: or udp:", l)
			continue
		case err != nil:
			t.bad("listen", "%v", err)
			continue
		}
		t.socket("listen", network, netip.AddrPort(a))
		if network == "tcp" {
			cfg.TCP = append(cfg.TCP, netip.AddrPort(a))
		} else {
			cfg.UDP = append(cfg.UDP, netip.AddrPort(a))
		}
	}
	port := 0
	t.number("port", "", &port, in.Port, 1, 65535)
	cfg.Port = uint16(port)
	set(&cfg.Host, in.Host)
	set(&cfg.Plain, in.Plain)
	if cfg.Host != "" && port == 0 {
		t.bad("host", "needs port: the one on the host")
	}
	if cfg.Plain {
		if cfg.Host != "" || port != 0 {
			t.bad("plain", "the peer speaks no session protocol: host and port cannot be told")
		}
		if len(cfg.UDP) > 0 {
			t.bad("plain", "is for TCP alone")
		}
	}
	cfg.QoS = t.qos("qos", in.QoS, cfg.QoS)
	t.number("max_sessions", "sessions", &cfg.MaxSessions, in.MaxSessions, 1, 1<<20)
	t.duration("idle_udp", &cfg.IdleUDP, in.IdleUDP, time.Second, 24*time.Hour)
	return cfg
}

// socksTable is [socks]; nil is: not set.
type socksTable struct {
	Listen      []endpoint        `toml:"listen"`
	Users       map[string]string `toml:"users"`
	MaxSessions *int              `toml:"max_sessions"`
	IdleUDP     *duration         `toml:"idle_udp"`
}

func (c *checker) socks(in *socksTable) *socks.Config {
	t := c.table("socks", 0)
	cfg := socks.Defaults()
	if in.Listen != nil {
		cfg.Listen = endpoints(in.Listen)
	}
	t.listens(cfg.Listen)
	if t.users(in.Users) {
		cfg.Users = in.Users
	}
	t.number("max_sessions", "sessions", &cfg.MaxSessions, in.MaxSessions, 1, 1<<20)
	t.duration("idle_udp", &cfg.IdleUDP, in.IdleUDP, time.Second, 24*time.Hour)
	return &cfg
}

// httpTable is [http]; nil is: not set.
type httpTable struct {
	Listen      []endpoint        `toml:"listen"`
	Users       map[string]string `toml:"users"`
	MaxSessions *int              `toml:"max_sessions"`
}

func (c *checker) http(in *httpTable) *httpproxy.Config {
	t := c.table("http", 0)
	cfg := httpproxy.Defaults()
	if in.Listen != nil {
		cfg.Listen = endpoints(in.Listen)
	}
	t.listens(cfg.Listen)
	if t.users(in.Users) {
		cfg.Users = in.Users
	}
	t.number("max_sessions", "sessions", &cfg.MaxSessions, in.MaxSessions, 1, 1<<20)
	return &cfg
}

func (t *table) listens(on []netip.AddrPort) {
	if len(on) == 0 {
		t.bad("listen", "is empty")
	}
	for _, a := range on {
		t.socket("listen", "tcp", a)
	}
}

// users checks names and passwords: both are strings of 1 to 255 bytes (RFC
// 1929), and a name has no colon (RFC 7617).
func (t *table) users(users map[string]string) bool {
	for name, password := range users {
		if name == "" || len(name) > 255 || strings.Contains(name, ":") {
			t.bad("users", "%q is no user name: 1 to 255 bytes without a colon", name)
		}
		if password == "" || len(password) > 255 {
			t.bad("users", "the password of %q must have 1 to 255 bytes", name)
		}
	}
	return len(users) > 0
}
