// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

// reliableRuns is how often each kind of flow is measured, in turns.
const reliableRuns = 5

func localReliable(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.single()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if err := p.daemons(ctx, loadName); err != nil {
		return nil, err
	}
	var rates []float64
	for range reliableRuns {
		rate, err := p.burst(ctx, "local_reliable", loadName, "data", 1024, true)
		if err != nil {
			return nil, err
		}
		rates = append(rates, rate)
	}
	return []figure{newFigure("local_reliable", "1/s", rates, nil)}, nil
}

// unicastPair makes two hosts in a unicast layer over udp4. The second serves
// the names.
func (b *bench) unicastPair(ctx context.Context, names ...string) (*pair, error) {
	p, err := b.pair()
	if err != nil {
		return nil, err
	}
	irmd := filepath.Join(b.bin, "irmd")
	for i := range p.hosts {
		p.dirs[i] = filepath.Join(p.dir, fmt.Sprint("r", i))
		var serve []string
		if i == 1 {
			serve = append(slices.Clone(names), settledName)
		}
		config := unicastOverUDP(i, p.outer, serve)
		for _, name := range names {
			if name == secretName {
				config += p.encrypted(name)
			}
		}
		if _, err := p.hosts[i].StartDaemon(ctx, irmd, p.dirs[i], config); err != nil {
			p.Close()
			return nil, err
		}
	}
	if err := p.settle(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// unicastReliable compares reliable with raw flows of the same layer.
func unicastReliable(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.unicastPair(ctx, loadName)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	rates := map[string][]float64{}
	for range reliableRuns {
		for _, kind := range []string{"raw", "data"} {
			rate, err := p.burst(ctx, "unicast_reliable", loadName, kind, 1024, kind == "data")
			if err != nil {
				return nil, err
			}
			rates[kind] = append(rates[kind], rate)
		}
	}
	return []figure{newFigure("unicast_reliable", "1/s", rates["data"], map[string][]float64{"raw": rates["raw"]})}, nil
}

// secretName is a name whose flows are encrypted.
const secretName = "secret-sink"

// encrypted makes the file enc.conf for AES-256-GCM and returns the TOML table
// with which flows to the name use it, on both ends.
func (p *pair) encrypted(name string) string {
	file := filepath.Join(p.dir, "enc.conf")
	if err := os.WriteFile(file, []byte("kex = X25519\ncipher = aes-256-gcm\nrequire = encryption\n"), 0o644); err != nil {
		panic(err) // the directory is ours
	}
	return fmt.Sprintf("[name.%q]\nserver_enc_file = %q\nclient_enc_file = %q\n", name, file, file)
}

// unicastReliableEnc compares encrypted with plain reliable flows.
func unicastReliableEnc(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.unicastPair(ctx, loadName, secretName)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	rates := map[string][]float64{}
	for range reliableRuns {
		for _, name := range []string{loadName, secretName} {
			rate, err := p.burst(ctx, "unicast_reliable_enc to "+name, name, "data", 1024, true)
			if err != nil {
				return nil, err
			}
			rates[name] = append(rates[name], rate)
		}
	}
	return []figure{newFigure("unicast_reliable_enc", "1/s", rates[secretName], map[string][]float64{"plain": rates[loadName]})}, nil
}

// tunnelEncTCP is tunnelUnicastTCP with encrypted flows.
func tunnelEncTCP(ctx context.Context, b *bench) ([]figure, error) {
	dir, err := os.MkdirTemp(b.work, "")
	if err != nil {
		return nil, err
	}
	secret := (&pair{dir: dir}).encrypted(tunnelName)
	return b.tcp(ctx, "tunnel_enc_tcp", func(i int, outer [2]netip.Addr) string {
		return unicastTunnelConfig(i, outer) + secret
	})
}

// udp4PingData compares the round trips of reliable and raw flows.
func udp4PingData(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.pair()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	const name = "op"
	if err := p.pingServer(ctx, name); err != nil {
		return nil, err
	}
	times := map[string][]float64{}
	for range reliableRuns {
		for _, kind := range []string{"raw", "data"} {
			m, err := p.ping(ctx, name, "-f -d 1s -q "+kind)
			if err != nil {
				return nil, err
			}
			times[kind] = append(times[kind], m)
		}
	}
	return []figure{newFigure("udp4_ping_data", "µs", times["data"], map[string][]float64{"raw": times["raw"]})}, nil
}
