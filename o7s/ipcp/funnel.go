// SPDX-License-Identifier: BSD-3-Clause

package ipcp

import "o7gw/o7s/layer"

// Funnel is layer.Inbox.
type Funnel = layer.Inbox
