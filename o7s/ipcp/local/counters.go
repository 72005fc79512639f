// SPDX-License-Identifier: BSD-3-Clause

package local

import "o7gw/o7s/rib"

// Counters is what Stats says, as the node publishes it.
func (l *IPCP) Counters() rib.Entry { return rib.Counters(l.Stats()) }
