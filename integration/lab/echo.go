// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
)

// PortBehind returns the address i ports behind that of a. Clients that make
// thousands of connections each take a port of their own: with one alone they run out
// of local ports, which TIME-WAIT holds, and the kernel takes milliseconds to find one.
func PortBehind(a netip.AddrPort, i int) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), a.Port()+uint16(i))
}

// EchoTCP is a role: it echoes TCP connections at an address and the ports behind it until
// ctx ends, and prints "listening" when it is ready.
func EchoTCP(ctx context.Context, at string, ports int) error {
	first, err := netip.ParseAddrPort(at)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for i := range ports {
		l, err := net.Listen("tcp", PortBehind(first, i).String())
		if err != nil {
			return err
		}
		defer context.AfterFunc(ctx, func() { l.Close() })()
		wg.Go(func() { echo(l) })
	}
	fmt.Println("listening")
	wg.Wait()
	return nil
}

// echo serves a listener until that is closed.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}
