// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"time"

	"o7gw/o7s"
)

// StopWait is how long a client that was told to end waits for what is under
// way.
const StopWait = 500 * time.Millisecond

// deliverWait is how long a reliable flow may make no progress at the end.
const deliverWait = 10 * time.Second

// Deliver closes a flow and waits until the server has everything: only then a
// test on a reliable flow is over. stopped: a signal has ended the test.
func Deliver(flow *o7s.Flow, stopped bool) error {
	flow.SetLinger(deliverWait)
	if stopped {
		flow.SetLinger(StopWait)
	}
	return flow.Close()
}
