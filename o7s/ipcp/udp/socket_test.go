// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"testing"

	"golang.org/x/sys/unix"
)

// setGRO switches the kernel's grouping of datagrams.
func (p *IPCP) setGRO(t testing.TB, on int) {
	t.Helper()
	if err := unix.SetsockoptInt(p.sock.fd, unix.SOL_UDP, unix.UDP_GRO, on); err != nil {
		t.Fatal(err)
	}
}
