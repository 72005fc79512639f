// SPDX-License-Identifier: BSD-3-Clause

package eth

import "o7gw/o7s/rib"

// Counters is what Stats says, as the node publishes it.
func (p *IPCP) Counters() rib.Entry { return rib.Counters(p.Stats()) }
