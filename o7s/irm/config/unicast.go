// SPDX-License-Identifier: BSD-3-Clause

package config

import "o7gw/o7s/ipcp"

// Spellings of policies: those of the prototype's file, then those of its
// command line, with the IRM's own word on the right. "lfa" is what the
// prototype's file wants to read for mb-ecn.
var (
	addrAuthWords   = map[string]string{"flat": "flat"}
	directoryWords  = map[string]string{"DHT": "DHT", "dht": "DHT"}
	routingWords    = map[string]string{"link-state": "link_state", "link_state": "link_state", "lfa": "lfa", "ecmp": "ecmp"}
	congestionWords = map[string]string{"none": "none", "mb-ecn": "mb-ecn", "lfa": "mb-ecn"}
)

// maxSeconds bounds timers for which the prototype has no upper bound: a day.
const maxSeconds = 86400

// unicast reads the keys of a unicast IPCP. What is absent stays zero, which
// means the default.
func (t *table) unicast(c *ipcp.UnicastConfig) {
	// Sizes of header fields, in bytes: the format has room for 8.
	t.int(&c.AddrSize, 1, 8, "addr_size")
	t.int(&c.EIDSize, 1, 8, "eid_size")
	t.int(&c.MaxTTL, 1, 255, "max_ttl")
	t.word(&c.AddrAuth, addrAuthWords, "addr-auth", "addr_auth")
	t.word(&c.Directory, directoryWords, "directory")
	t.word(&c.Routing, routingWords, "routing")
	t.word(&c.Congestion, congestionWords, "congestion")
	t.int(&c.LSRecalc, 1, maxSeconds, "ls_t_recalc")
	t.int(&c.LSUpdate, 1, maxSeconds, "ls_t_update")
	t.int(&c.LSTimeo, 1, maxSeconds, "ls_t_timeo")
	t.int(&c.DHTAlpha, 1, 10, "dht_alpha")
	t.int(&c.DHTK, 1, 20, "dht_k")
	t.int(&c.DHTExpire, 10, 86400, "dht_t_expire", "dht_t_expiry")
	t.int(&c.DHTRefresh, 3, 3600, "dht_t_refresh")
	t.int(&c.DHTReplic, 3, 3600, "dht_t_replicate")
}
