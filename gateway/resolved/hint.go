// SPDX-License-Identifier: BSD-3-Clause

package resolved

import (
	"fmt"
	"net/netip"
	"strings"
)

// Hint says in one line what to do by hand where Set cannot: how to make other
// resolvers ask the servers for names in the domains.
func Hint(servers []netip.AddrPort, domains []string) string {
	if len(servers) == 0 || len(domains) == 0 {
		return "nothing to ask for"
	}
	s, zones := servers[0], strings.Join(domains, "/")
	plain := s.Addr().String()
	masq := plain
	if s.Port() != 53 {
		masq = fmt.Sprintf("%s#%d", plain, s.Port())
	}
	hint := fmt.Sprintf("dnsmasq or NetworkManager with dnsmasq: server=/%s/%s", zones, masq)
	if s.Port() == 53 { // resolv.conf knows no ports
		hint += fmt.Sprintf("; else \"nameserver %s\" as the first line of /etc/resolv.conf, and the server that is there now as upstream in [names]", plain)
	}
	return hint + "; or without DNS by [socks], which takes names (docs/names.md)"
}
