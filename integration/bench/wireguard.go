// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

// The peer: wireguard-go as its own main function sets it up, with the
// default MTU, in a process on each host.

const (
	wireguardDev  = "wg0"
	wireguardPort = 51820
)

// wireguard starts the peer on both hosts and returns the address of the
// second inside the tunnel.
func (t *pair) wireguard(ctx context.Context) (netip.Addr, error) {
	inner := [2]netip.Addr{netip.MustParseAddr("10.21.0.1"), netip.MustParseAddr("10.21.0.2")}
	var keys [2]*ecdh.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
			return netip.Addr{}, err
		}
	}
	for i, h := range t.hosts {
		other := 1 - i
		config := fmt.Sprintf("private_key=%s\nlisten_port=%d\npublic_key=%s\nendpoint=%s\nallowed_ip=%s/32\n",
			hex.EncodeToString(keys[i].Bytes()), wireguardPort,
			hex.EncodeToString(keys[other].PublicKey().Bytes()),
			netip.AddrPortFrom(t.outer[other], wireguardPort), inner[other])
		p, err := t.role(i, "wireguard", config)
		if err != nil {
			return netip.Addr{}, err
		}
		if err := p.WaitFor(ctx, "ready"); err != nil {
			return netip.Addr{}, err
		}
		if err := h.SetUp(wireguardDev, netip.PrefixFrom(inner[i], 24)); err != nil {
			return netip.Addr{}, err
		}
	}
	return inner[1], t.hosts[0].Reach(ctx, inner[1])
}

// playWireguard is the role of one host; args are the configuration.
func playWireguard(ctx context.Context, args []string) error {
	t, err := tun.CreateTUN(wireguardDev, device.DefaultMTU)
	if err != nil {
		return err
	}
	d := device.NewDevice(t, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, "wireguard: "))
	defer d.Close()
	if err := d.IpcSet(args[0]); err != nil {
		return err
	}
	if err := d.Up(); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "ready")
	select {
	case <-ctx.Done():
	case <-d.Wait():
	}
	return nil
}
