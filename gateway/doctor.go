// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/gateway/config"
	"o7gw/gateway/echo"
	"o7gw/gateway/ip"
	"o7gw/gateway/privilege"
	"o7gw/gateway/report"
	"o7gw/gateway/tun"
	"o7gw/gateway/tunnel"
	"o7gw/o7s/qos"
)

// Result is the outcome of one examination.
type Result string

const (
	OK   Result = "ok"
	Note Result = "note" // works, but slower or with less
	Bad  Result = "bad"  // does not work
	Skip Result = "skip" // could not be looked at
)

// Finding is the outcome of one examination, and the command that mends what
// is wrong.
type Finding struct {
	Subject string `json:"subject"`
	Result  Result `json:"result"`
	Text    string `json:"text"`
	Mend    string `json:"mend,omitempty"`
}

const (
	// reachLimit bounds the search for one name.
	reachLimit = 5 * time.Second
	// echoLimit bounds one echo through a tunnel.
	echoLimit = time.Second
	// echoTries is how often an echo is sent before it counts as lost.
	echoTries = 3
)

// Examine looks at the machine, the configuration (or the error of reading
// it) and, through the running gateway or a node of its own, at the network.
// It changes nothing that outlasts it.
func Examine(ctx context.Context, file *config.File, path string, configErr error) []Finding {
	found := []Finding{device(), capability()}
	found = append(found, offloads()...)
	if configErr != nil {
		return append(found, Finding{"configuration", Bad, configErr.Error(), "o7gw genconf | sudo tee " + path})
	}
	found = append(found, Finding{"configuration", OK, path + " is right", ""})
	if status, err := FetchStatus(ctx, file.RunDir); err == nil {
		found = append(found, Finding{"gateway", OK, fmt.Sprintf("runs as process %d", status.PID), ""})
		return append(found, inspect(ctx, &status)...)
	}
	found = append(found, Finding{"gateway", Note, "does not run: looking with a node of its own", "sudo o7gw up --config " + path})
	return append(found, reach(ctx, file)...)
}

func device() Finding {
	f := Finding{Subject: "TUN device"}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
		f.Result, f.Text = OK, "/dev/net/tun can be opened"
		return f
	}
	f.Result, f.Text = Bad, fmt.Sprintf("/dev/net/tun: %v", err)
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.Mend = "sudo modprobe tun; sudo mkdir -p /dev/net; sudo mknod -m 666 /dev/net/tun c 10 200"
	case errors.Is(err, unix.ENODEV):
		f.Mend = "sudo modprobe tun"
	default:
		f.Mend = "sudo chmod 666 /dev/net/tun"
	}
	return f
}

func capability() Finding {
	f := Finding{Subject: "capability"}
	ok, err := privilege.Has(privilege.NetAdmin)
	switch {
	case err != nil:
		f.Result, f.Text = Skip, err.Error()
	case ok:
		f.Result, f.Text = OK, "CAP_NET_ADMIN is there"
	default:
		self, _ := os.Executable()
		f.Result, f.Text = Bad, "CAP_NET_ADMIN is missing: it makes network interfaces"
		f.Mend = "sudo setcap cap_net_admin+ep " + self
	}
	return f
}

// offloads looks at what makes it fast.
func offloads() []Finding {
	var found []Finding
	f := Finding{Subject: "TUN offload"}
	d, err := tun.Open("o7doctor%d", ip.MinMTU6)
	switch {
	case err != nil:
		f.Result, f.Text = Skip, err.Error()
	case d.USO():
		f.Result, f.Text = OK, "large TCP and UDP segments"
	default:
		f.Result, f.Text, f.Mend = Note, "large TCP segments only: UDP is slower", "use Linux 6.2 or newer"
	}
	if err == nil {
		d.Close()
	}
	found = append(found, f)

	f = Finding{Subject: "UDP offload"}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		f.Result, f.Text = Skip, err.Error()
		return append(found, f)
	}
	defer unix.Close(fd)
	gso := unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1400)
	gro := unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	if gso == nil && gro == nil {
		f.Result, f.Text = OK, "GSO and GRO"
	} else {
		f.Result, f.Text, f.Mend = Note, "the kernel lacks UDP GSO or GRO: udp layers are slower", "use Linux 5.0 or newer"
	}
	return append(found, f)
}

// inspect looks at the objects of the gateway that runs.
func inspect(ctx context.Context, s *Status) []Finding {
	var found []Finding
	for i := range s.Tunnels {
		t := &s.Tunnels[i]
		subject := "tunnel " + t.Name
		switch {
		case t.LastError != "":
			found = append(found, Finding{subject, Bad, "not connected: " + t.LastError,
				"start the server of " + t.Service + ", and check that the layer knows where the name is served"})
		case len(t.Peers) == 0:
			found = append(found, Finding{subject, Note, "has no peer yet", ""})
		}
		for j := range t.Peers {
			found = append(found, blackHole(ctx, subject, t, &t.Peers[j]))
		}
	}
	for i := range s.Objects {
		if o := &s.Objects[i]; o.Kind != tunnelKind {
			found = append(found, health(o))
		}
	}
	return found
}

// health says how an object is.
func health(o *report.Object) Finding {
	f := Finding{Subject: o.ID(), Result: OK, Text: o.State}
	if n := o.Book.Total; n > 0 {
		f.Text += fmt.Sprintf(", %d sessions so far", n)
	}
	if o.State != report.StateUp {
		f.Result, f.Mend = Bad, "mend what the text names; the log says when it began"
	}
	if e := o.Book.LastError; e != "" {
		f.Text += "; last error: " + e
		if f.Result == OK && o.Book.Total == 0 {
			f.Result = Note
		}
	}
	return f
}

// blackHole sends echoes of the smallest and the full size to the peer's
// address: if only the small one returns, something on the way swallows large
// packets.
func blackHole(ctx context.Context, subject string, t *tunnel.Status, p *tunnel.PeerStatus) Finding {
	f := Finding{Subject: subject, Result: Skip}
	var to netip.Addr
	for _, a := range p.Prefixes {
		if a.IsSingleIP() {
			to = a.Addr()
			break
		}
	}
	if !to.IsValid() {
		f.Text = "the peer has announced no address to try"
		return f
	}
	header := ip.IPv4Len + 8
	if to.Is6() {
		header = ip.IPv6Len + 8
	}
	mtu := min(t.MTU, p.MTU)
	small, rtt, err := try(ctx, to, 0)
	if err != nil {
		f.Text = err.Error()
		return f
	}
	if !small {
		f.Result, f.Text = Note, fmt.Sprintf("%v does not answer echoes: cannot look for MTU black holes", to)
		f.Mend = "allow ICMP echo in the peer's firewall"
		return f
	}
	large, _, err := try(ctx, to, mtu-header)
	if err == nil && !large {
		f.Result = Bad
		f.Text = fmt.Sprintf("MTU black hole: %v answers small packets, but none of %d bytes", to, mtu)
		f.Mend = fmt.Sprintf("set mtu = %d below the layer ([udp4.NAME] mtu) on both hosts", mtu-100)
		return f
	}
	f.Result, f.Text = OK, fmt.Sprintf("%v answers in %v, and packets of the full %d bytes pass", to, rtt.Round(time.Microsecond), mtu)
	return f
}

// try reports whether one of a few echoes was answered.
func try(ctx context.Context, to netip.Addr, size int) (bool, time.Duration, error) {
	for i := range echoTries {
		c, cancel := context.WithTimeout(ctx, echoLimit)
		rtt, err := echo.Ping(c, to, size, i)
		cancel()
		if err == nil {
			return true, rtt, nil
		}
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, unix.EMSGSIZE) &&
			!(errors.As(err, &timeout) && timeout.Timeout()) {
			return false, 0, err
		}
	}
	return false, 0, nil
}

// reach starts the node of the configuration, without objects, and looks for
// the names that objects dial.
func reach(ctx context.Context, file *config.File) []Finding {
	bare := config.File{Filename: file.Filename, IRMd: file.IRMd, Security: file.Security, Node: file.Node}
	if file.IRMd {
		bare.RunDir = file.RunDir
	}
	g := New(&bare, slog.New(slog.DiscardHandler))
	if err := g.Start(ctx); err != nil {
		return []Finding{{"node", Bad, err.Error(), "mend what the text names; o7gw check looks at the file alone"}}
	}
	defer g.Close()
	found := []Finding{{"node", OK, "starts", ""}}
	for _, t := range file.Tunnels {
		if t.Connect != "" {
			found = append(found, g.tryFlow(ctx, "tunnel "+t.Name, t.Connect, t.FlowQoS()))
		}
	}
	for _, d := range dialled(file) {
		f := Finding{Subject: d[0], Result: OK, Text: "somebody serves " + d[1]}
		c, cancel := context.WithTimeout(ctx, reachLimit)
		if err := g.stack.Query(c, d[1]); err != nil {
			f.Result, f.Text, f.Mend = Bad, fmt.Sprintf("name %s is not reachable: %v", d[1], err), mendName
		}
		cancel()
		found = append(found, f)
	}
	return found
}

// mendName mends a name that nobody knows.
const mendName = "start its server; in a udp layer without DNS add the server to the table hosts of the IPCP"

// dialled lists the objects with the names that they dial.
func dialled(file *config.File) (out [][2]string) {
	for _, f := range file.Forwards {
		out = append(out, [2]string{"forward " + f.Name, f.Service})
	}
	for _, i := range file.Intercepts {
		for _, e := range i.Exits {
			out = append(out, [2]string{"intercept " + i.Name, e})
		}
	}
	for _, r := range file.Routes {
		out = append(out, [2]string{"route", r.Service})
	}
	for _, s := range file.Segments {
		for _, c := range s.Connect {
			out = append(out, [2]string{"segment " + s.Name, c})
		}
	}
	return out
}

// tryFlow allocates a flow for a tunnel, which needs some MTU.
func (g *Gateway) tryFlow(ctx context.Context, subject, name string, qs qos.Spec) Finding {
	c, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	f, err := g.net.Dial(c, name, qs)
	if err != nil {
		return Finding{subject, Bad, fmt.Sprintf("name %s is not reachable: %v", name, err), mendName}
	}
	defer f.Close()
	if mtu := f.MTU(); mtu < ip.MinMTU6 {
		return Finding{subject, Note, fmt.Sprintf("name %s is reachable, but the flow's MTU of %d bytes is too small for IPv6", name, mtu),
			"raise the MTU of the network below"}
	}
	return Finding{subject, OK, fmt.Sprintf("name %s is reachable, flow MTU %d bytes", name, f.MTU()), ""}
}
