// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import "time"

// Policy says which next hops a route has. Numbers are those of the
// enrolment configuration.
type Policy uint8

const (
	Simple Policy = iota // one
	LFA                  // one, then loop-free alternates
	ECMP                 // all on shortest paths
)

// The times of the prototype.
const (
	DefaultRecalc  = 4 * time.Second
	DefaultUpdate  = 15 * time.Second
	DefaultTimeout = 60 * time.Second
)

// Config is what all members of a layer have in common, and the own address.
type Config struct {
	Self   uint64
	Policy Policy
	// Recalc is the distance of two computations of routes; never more
	// than 100 ms; 0: default.
	Recalc time.Duration
	// Update is how often own links are announced again; 0: default.
	Update time.Duration
	// Timeout ends a link that was not announced for so long; 0: default. It
	// should be some times Update. If it is not, own links are announced more
	// often (spec 20 LS-15).
	Timeout time.Duration
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		at *time.Duration
		to time.Duration
	}{{&c.Recalc, DefaultRecalc}, {&c.Update, DefaultUpdate}, {&c.Timeout, DefaultTimeout}} {
		if *d.at <= 0 {
			*d.at = d.to
		}
	}
	return c
}

// refresh returns how often own links are announced: often enough that
// nobody drops them when one announcement is lost.
func (c Config) refresh() time.Duration {
	return max(min(c.Update, c.Timeout/3), time.Millisecond)
}

// memory returns how long a withdrawal is remembered: until the last
// prototype has dropped the link, which looks for old ones only at each update.
func (c Config) memory() time.Duration { return c.Timeout + 2*c.Update }
