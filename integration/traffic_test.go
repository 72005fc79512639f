// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"o7gw/integration/lab"
)

// tunnelEnds is a tunnel between hosts 0 and last, as programs see it.
type tunnelEnds struct {
	hosts [2]int
	dev   [2]string
	addr  [2]netip.Addr
	addr6 [2]netip.Addr // invalid: no IPv6
}

// traffic sends all kinds of traffic through a tunnel.
func (w *world) traffic(e tunnelEnds) {
	w.t.Helper()
	needs(w.t, "ping", "nc", "curl", "iperf3")
	for _, family := range []struct {
		name string
		addr [2]netip.Addr
		head int // bytes of the IP and the ICMP header
	}{{"IPv4", e.addr, 20 + 8}, {"IPv6", e.addr6, 40 + 8}} {
		if !family.addr[0].IsValid() {
			continue
		}
		w.t.Run(family.name, func(t *testing.T) {
			v := *w
			v.t = t
			v.pingFullSize(e, family.addr[1], family.head)
			v.netcat(e, family.addr)
			v.download(e, family.addr[1])
			v.iperf(e, family.addr[1])
		})
	}
}

// pingFullSize pings with packets that just fit the device, not to be
// fragmented; one byte more does not go.
func (w *world) pingFullSize(e tunnelEnds, to netip.Addr, head int) {
	w.t.Helper()
	mtu, err := w.hosts[e.hosts[0]].MTU(e.dev[0])
	if err != nil {
		w.t.Fatal(err)
	}
	// With -w, ping waits for the replies; without, only for two round trips,
	// which a busy machine may not make.
	args := []string{"-n", "-M", "do", "-c", "3", "-i", "0.02", "-w", "5", to.String(), "-s"}
	out := w.system(e.hosts[0], "ping", append(args, strconv.Itoa(mtu-head))...)
	if !strings.Contains(out, " 0% packet loss") {
		w.t.Errorf("ping of %d bytes:\n%s", mtu, out)
	}
	if out, err := w.hosts[e.hosts[0]].Run(w.ctx, "ping", append(args, strconv.Itoa(mtu-head+1))...); err == nil {
		w.t.Errorf("ping of %d bytes through a device of %d:\n%s", mtu+1, mtu, out)
	}
}

// netcat exchanges files over one connection, each end in turn listening. The
// listener sends little and finishes long before the caller does: its half
// of the connection is closed while the other still carries data. (The other
// way round nc itself does not work: a listener ends with its caller's half.)
func (w *world) netcat(e tunnelEnds, addr [2]netip.Addr) {
	w.t.Helper()
	sizes := map[string]int{"listener": 10, "caller": 4 << 20}
	sent := map[string]string{}
	file := func(side, what string) string { return filepath.Join(w.dir, side+"."+what) }
	for side, size := range sizes {
		sent[side] = w.randomFile(file(side, "in"), size)
	}
	for listen := range 2 {
		to, port := addr[listen].String(), strconv.Itoa(5000+listen)
		listener, err := w.hosts[e.hosts[listen]].Start(exec.Command("sh", "-c",
			`exec nc -n -v -N -l "$0" "$1" <"$2" >"$3"`, to, port, file("listener", "in"), file("listener", "out")))
		if err != nil {
			w.t.Fatal(err)
		}
		if err := listener.WaitFor(w.ctx, "istening"); err != nil {
			w.t.Fatal(err)
		}
		w.system(e.hosts[1-listen], "sh", "-c", `exec nc -n -N "$0" "$1" <"$2" >"$3"`, to, port, file("caller", "in"), file("caller", "out"))
		if err := listener.Wait(w.ctx); err != nil {
			w.t.Fatalf("%v\n%s", err, listener.Output())
		}
		if fileSum(w.t, file("listener", "out")) != sent["caller"] || fileSum(w.t, file("caller", "out")) != sent["listener"] {
			w.t.Errorf("end %d listens: what came out of nc is not what went in", listen)
		}
	}
}

// randomFile writes a file and returns its checksum.
func (w *world) randomFile(path string, size int) string {
	w.t.Helper()
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size)}).Read(data)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func fileSum(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// downloadSize is what curl fetches, in bytes.
const downloadSize = 100 << 20

// download fetches 100 MB with curl from a web server at the other end.
func (w *world) download(e tunnelEnds, from netip.Addr) {
	w.t.Helper()
	var l net.Listener
	err := w.hosts[e.hosts[1]].Do(func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(from, 8080).String())
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	content := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), downloadSize) }
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", strconv.Itoa(downloadSize))
		io.Copy(rw, content())
	})}
	done := make(chan struct{})
	go func() {
		server.Serve(l)
		close(done)
	}()
	defer func() {
		server.Close()
		<-done
	}()
	sum := sha256.New()
	if _, err := io.Copy(sum, content()); err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.dir, "download")
	w.system(e.hosts[0], "curl", "-sS", "--fail", "--noproxy", "*", "--max-time", "60", "-o", file, "http://"+l.Addr().String()+"/")
	got := fileSum(w.t, file)
	os.Remove(file)
	if got != hex.EncodeToString(sum.Sum(nil)) {
		w.t.Error("100 MB came through curl changed")
	}
}

// iperf sends TCP and UDP both ways for a second each.
func (w *world) iperf(e tunnelEnds, to netip.Addr) {
	w.t.Helper()
	for _, args := range [][]string{{}, {"-R"}, {"-u", "-b", "50M"}, {"-u", "-b", "50M", "-R"}} {
		r, err := lab.Iperf(w.ctx, w.hosts[e.hosts[0]], w.hosts[e.hosts[1]], to, 1, args...)
		if err != nil {
			w.t.Fatal(err)
		}
		if r.Bytes < 1e5 || r.LostPercent > 50 {
			w.t.Errorf("iperf3 %v: %.0f bytes arrived, %.1f %% lost", args, r.Bytes, r.LostPercent)
		}
		w.t.Logf("iperf3 %v: %.0f Mbit/s", args, r.BPS/1e6)
	}
}

// inner returns the addresses inside the tunnel under test.
func inner(end int) (netip.Addr, netip.Addr) {
	return netip.AddrFrom4([4]byte{10, 99, 0, byte(end + 1)}), netip.MustParseAddr(fmt.Sprintf("fd99::%d", end+1))
}

// gateway starts o7gw on host i with an embedded node; the tunnel server is
// end 1.
func (w *world) gateway(i, end int, own, server netip.Addr, plain bool) *lab.Proc {
	w.t.Helper()
	v4, v6 := inner(end)
	tunnel := lab.Tunnel{
		Device: "o7", Plain: plain,
		Addresses: []netip.Prefix{netip.PrefixFrom(v4, 24), netip.PrefixFrom(v6, 64)},
	}
	layer := lab.UDPLayer{Name: "udp", IP: own}
	if end == 1 {
		tunnel.Listen = "vpn"
	} else {
		tunnel.Connect = "vpn"
		layer.Hosts = map[string]netip.Addr{"vpn": server}
	}
	p, err := w.hosts[i].StartGateway(w.ctx, filepath.Join(bin, "o7gw"), filepath.Join(w.dir, fmt.Sprint("gw", i)),
		layer.String()+tunnel.String())
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) reach(from int, to ...netip.Addr) {
	w.t.Helper()
	needs(w.t, "ping")
	for _, a := range to {
		if err := w.hosts[from].Reach(w.ctx, a); err != nil {
			w.t.Fatal(err)
		}
	}
}

// gatewayEnds is the tunnel between gateways on hosts 0 and 1.
func gatewayEnds() tunnelEnds {
	e := tunnelEnds{hosts: [2]int{0, 1}, dev: [2]string{"o7", "o7"}}
	for end := range 2 {
		e.addr[end], e.addr6[end] = inner(end)
	}
	return e
}
