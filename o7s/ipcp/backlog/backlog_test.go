// SPDX-License-Identifier: BSD-3-Clause

package backlog

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestGauge(t *testing.T) {
	// A UDP socket accounts what waits for it to itself.
	r, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(r)
	if err := unix.Bind(r, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(r, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
		t.Skipf("a receive buffer that is large enough needs root: %v", err)
	}
	to, err := unix.Getsockname(r)
	if err != nil {
		t.Fatal(err)
	}
	var g Gauge
	g.Update(r, true)
	if g.Packets() != 0 {
		t.Errorf("empty socket: %d packets", g.Packets())
	}
	const sent = usual + 800
	for range sent {
		if err := unix.Sendto(r, make([]byte, 1400), 0, to); err != nil {
			t.Fatal(err)
		}
	}
	g.Update(r, true)
	if n := g.Packets(); n < 100 || n > 400 {
		t.Errorf("%d packets wait, the gauge says %d too many", sent, n)
	}
	g.Update(r, false)
	if g.Packets() != 0 {
		t.Errorf("not full: %d packets", g.Packets())
	}
	if n := testing.AllocsPerRun(100, func() { g.Update(r, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
