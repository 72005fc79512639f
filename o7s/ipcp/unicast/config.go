// SPDX-License-Identifier: BSD-3-Clause

package unicast

import (
	"fmt"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/ipcp/unicast/dht"
	"o7gw/o7s/ipcp/unicast/linkstate"
	"o7gw/o7s/ipcp/unicast/pff"
	"o7gw/o7s/layer"
)

// Defaults of a layer (spec 20 §0.1), and the sizes that the flat address policy
// and the data transfer need.
const (
	addrSize      = 4  // bytes
	eidSize       = 8  // bytes
	defaultMaxTTL = 60 // hops

	defaultRecalc = 4  // s
	defaultUpdate = 15 // s
	defaultTimeo  = 60 // s

	defaultAlpha     = 3
	defaultK         = 8
	defaultExpire    = 86400 // s
	defaultRefresh   = 900   // s
	defaultReplicate = 900   // s
)

// Policy names as the configuration has them.
const (
	flat      = "flat"
	dhtName   = "DHT"
	mbECN     = "mb-ecn"
	noCA      = "none"
	linkState = "link_state"
	lfa       = "lfa"
	ecmp      = "ecmp"
)

// fill puts defaults where nothing is configured.
func fill(c ipcp.UnicastConfig) ipcp.UnicastConfig {
	ints := []struct {
		at *int
		to int
	}{
		{&c.AddrSize, addrSize}, {&c.EIDSize, eidSize}, {&c.MaxTTL, defaultMaxTTL},
		{&c.LSRecalc, defaultRecalc}, {&c.LSUpdate, defaultUpdate}, {&c.LSTimeo, defaultTimeo},
		{&c.DHTAlpha, defaultAlpha}, {&c.DHTK, defaultK},
		{&c.DHTExpire, defaultExpire}, {&c.DHTRefresh, defaultRefresh}, {&c.DHTReplic, defaultReplicate},
	}
	for _, i := range ints {
		if *i.at == 0 {
			*i.at = i.to
		}
	}
	words := []struct {
		at *string
		to string
	}{{&c.AddrAuth, flat}, {&c.Directory, dhtName}, {&c.Routing, linkState}, {&c.Congestion, mbECN}}
	for _, w := range words {
		if *w.at == "" {
			*w.at = w.to
		}
	}
	return c
}

// check refuses a filled configuration that this IPC process cannot run. It comes
// from the operator, or from another member in enrolment.
func check(c ipcp.UnicastConfig) error {
	switch {
	case c.AddrAuth != flat:
		return fmt.Errorf("address policy %q is not flat: %w", c.AddrAuth, layer.ErrInvalid)
	case c.AddrSize != addrSize:
		return fmt.Errorf("flat addresses have %d bytes, not %d: %w", addrSize, c.AddrSize, layer.ErrInvalid)
	case c.MaxTTL < 1 || c.MaxTTL > 255:
		return fmt.Errorf("maximum TTL %d is not in 1 to 255: %w", c.MaxTTL, layer.ErrInvalid)
	case c.EIDSize < 1 || c.EIDSize > 255: // the wire has 8 whatever it says (spec 20 §3.1)
		return fmt.Errorf("EID size of %d bytes: %w", c.EIDSize, layer.ErrInvalid)
	case c.Directory != dhtName:
		return fmt.Errorf("directory %q is not %s: %w", c.Directory, dhtName, layer.ErrInvalid)
	case c.LSRecalc < 0 || c.LSUpdate < 1 || c.LSTimeo <= c.LSUpdate: // LS-15
		return fmt.Errorf("link state: timeout %d s must be above update interval %d s: %w", c.LSTimeo, c.LSUpdate, layer.ErrInvalid)
	case c.DHTAlpha < 1 || c.DHTK < 1 || c.DHTAlpha > 255 || c.DHTK > 255:
		return fmt.Errorf("directory: alpha %d, k %d: %w", c.DHTAlpha, c.DHTK, layer.ErrInvalid)
	case c.DHTExpire < 1 || c.DHTRefresh < 1 || c.DHTReplic < 1:
		return fmt.Errorf("directory: timers must be at least 1 s: %w", layer.ErrInvalid)
	}
	if _, _, err := routingPolicies(c); err != nil {
		return err
	}
	_, err := congestion(c)
	return err
}

// routingPolicies returns the policies of routing and of forwarding, which go together
// (spec 20 §1.2).
func routingPolicies(c ipcp.UnicastConfig) (linkstate.Policy, pff.Policy, error) {
	switch c.Routing {
	case linkState:
		return linkstate.Simple, pff.Simple, nil
	case lfa:
		return linkstate.LFA, pff.Alternate, nil
	case ecmp:
		return linkstate.ECMP, pff.Multipath, nil
	}
	return 0, 0, fmt.Errorf("routing %q is none of %s, %s, %s: %w", c.Routing, linkState, lfa, ecmp, layer.ErrInvalid)
}

func congestion(c ipcp.UnicastConfig) (ca.Policy, error) {
	switch c.Congestion {
	case noCA:
		return ca.None, nil
	case mbECN:
		return ca.MBECN, nil
	}
	return 0, fmt.Errorf("congestion avoidance %q is neither %s nor %s: %w", c.Congestion, noCA, mbECN, layer.ErrInvalid)
}

func linkStateConfig(c ipcp.UnicastConfig, self uint64) (linkstate.Config, pff.Policy) {
	policy, forwarding, _ := routingPolicies(c) // checked
	return linkstate.Config{
		Self: self, Policy: policy,
		Recalc: seconds(c.LSRecalc), Update: seconds(c.LSUpdate), Timeout: seconds(c.LSTimeo),
	}, forwarding
}

func dhtConfig(c ipcp.UnicastConfig, self uint64) dht.Config {
	return dht.Config{
		Self: self, Alpha: c.DHTAlpha, K: c.DHTK,
		Expire: seconds(c.DHTExpire), Refresh: seconds(c.DHTRefresh), Replicate: seconds(c.DHTReplic),
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
