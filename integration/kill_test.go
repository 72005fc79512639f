// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"o7gw/integration/lab"
	"o7gw/o7s"
)

// The kill matrix (DESIGN §9): each kind of process is killed with SIGKILL
// while data flows. What must survive does, and the rest ends soon. noticed
// is far above the second that it should take.
const noticed = 10 * time.Second

// ended fails the test if a client of oping does not end soon, or only because
// it heard nothing for long.
func (w *world) ended(client *lab.Proc) {
	w.t.Helper()
	w.within(noticed, client)
	if out := client.Output(); strings.Contains(out, "Server timed out.") || !strings.Contains(out, "ping statistics") {
		w.t.Errorf("nobody told the client:\n%s", out)
	}
}

func TestKillServer(t *testing.T) {
	for _, c := range []struct {
		name  string
		local bool
	}{{"local", true}, {"udp4", false}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 60*time.Second, 2)
			w.udpPair(addr4, "op")
			from := 0
			if c.local {
				from = 1
			}
			server := w.start(1, "started", "oping", "-l", "-Q", "-n", "op")
			client := w.start(from, "seq=3", "oping", "-n", "op", "-i", "10ms")
			server.Kill()
			w.ended(client)
			// Its name is free, and served again by the next.
			w.start(1, "started", "oping", "-l", "-Q", "-n", "op")
			if out := w.mustRun(from, "oping", "-n", "op", "-c", "2", "-i", "10ms"); !statistics("op", "2").MatchString(out) {
				t.Errorf("after the restart:\n%s", out)
			}
		})
	}
}

func TestKillClient(t *testing.T) {
	for _, c := range []struct {
		name  string
		local bool
	}{{"local", true}, {"udp4", false}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 60*time.Second, 2)
			_, daemon := w.udpPair(addr4, "op")
			from := 0
			if c.local {
				from = 1
			}
			server := w.start(1, "started", "oping", "-l", "-Q", "-n", "op")
			w.mustRun(from, "oping", "-n", "op", "-c", "1", "-i", "1ms")
			procs := []*lab.Proc{server, daemon.Proc}
			var before []lab.Usage
			for _, p := range procs {
				before = append(before, w.settled(p))
			}
			for range 5 {
				client := w.start(from, "seq=3", "oping", "-n", "op", "-i", "10ms")
				client.Kill()
			}
			for i, p := range procs {
				w.back(p, before[i])
			}
		})
	}
}

// settled returns what a process holds as soon as that stands still.
func (w *world) settled(p *lab.Proc) lab.Usage {
	w.t.Helper()
	var last lab.Usage
	same := 0
	w.eventually(p.Name+" to settle", func() bool {
		u := w.usage(p)
		if u.Descriptors == last.Descriptors && u.MemFiles == last.MemFiles {
			same++
		} else {
			same = 0
		}
		last = u
		return same >= 10
	})
	return last
}

func (w *world) usage(p *lab.Proc) lab.Usage {
	w.t.Helper()
	u, err := p.Usage()
	if err != nil {
		w.t.Fatalf("%v; it printed:\n%s", err, p.Output())
	}
	return u
}

// back waits until a process holds no more descriptors and memory files than
// before.
func (w *world) back(p *lab.Proc, before lab.Usage) {
	w.t.Helper()
	var u lab.Usage
	deadline := time.Now().Add(noticed)
	for time.Now().Before(deadline) {
		if u = w.usage(p); u.Descriptors <= before.Descriptors && u.MemFiles <= before.MemFiles {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Errorf("%s leaks: %+v before, %+v after", p.Name, before, u)
}

// A flow between two local processes does not need the daemon any more; one
// through it ends with it. A new daemon takes over the old one's place.
func TestKillDaemon(t *testing.T) {
	w := newWorld(t, 60*time.Second, 2)
	_, daemon := w.udpPair(addr4, "op")
	server := w.start(1, "started", "oping", "-l", "-Q", "-n", "op")
	local := w.start(1, "seq=3", "oping", "-n", "op", "-i", "10ms")
	w.start(0, "seq=3", "oping", "-n", "op", "-i", "10ms")

	daemon.Kill()
	seen := strings.Count(local.Output(), "seq=")
	if err := local.WaitFor(w.ctx, fmt.Sprintf("seq=%d ", seen+20)); err != nil {
		t.Errorf("a local flow ended with the daemon: %v", err)
	}
	if err := local.Stop(w.ctx); err != nil {
		t.Error(err)
	}
	w.within(noticed, server) // nobody can reach it any more
	if server.ExitCode() == 0 {
		t.Errorf("the server lost its daemon and says nothing:\n%s", server.Output())
	}

	w.daemon(1, lab.UDPLayer{Name: "udp", IP: addr4(0, 2), Serve: []string{"op"}})
	w.start(1, "started", "oping", "-l", "-Q", "-n", "op")
	if out := w.mustRun(0, "oping", "-n", "op", "-c", "2", "-i", "10ms"); !statistics("op", "2").MatchString(out) {
		t.Errorf("after the restart of the daemon:\n%s", out)
	}
}

// The daemon at the client's side: its applications notice at once.
func TestKillClientsDaemon(t *testing.T) {
	w := newWorld(t, 60*time.Second, 2)
	daemon, _ := w.udpPair(addr4, "op")
	w.start(1, "started", "oping", "-l", "-Q", "-n", "op")
	client := w.start(0, "seq=3", "oping", "-n", "op", "-i", "10ms")
	daemon.Kill()
	w.ended(client)
	if out, status := w.run(0, "oping", "-n", "op", "-c", "1"); status != 1 || out == "" {
		t.Errorf("without a daemon: status %d:\n%s", status, out)
	}
}

// A killed gateway takes its device with it; started again, the tunnel heals,
// whichever end it was, and connections that were under way go on if they
// are patient.
func TestKillGateway(t *testing.T) {
	needs(t, "ping", "iperf3")
	for end, name := range []string{"client", "server"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 90*time.Second, 2)
			gateways := [2]*lab.Proc{}
			for i := 1; i >= 0; i-- {
				gateways[i] = w.gateway(i, i, addr4(0, i+1), addr4(0, 2), false)
			}
			e := gatewayEnds()
			w.reach(0, e.addr[1])
			sink, err := w.hosts[1].Start(exec.Command("iperf3", "-s", "--forceflush"))
			if err != nil {
				t.Fatal(err)
			}
			if err := sink.WaitFor(w.ctx, "listening"); err != nil {
				t.Fatal(err)
			}
			// The device of a server ends with it, so its address must be
			// found again.
			load, err := w.hosts[0].Start(exec.Command("iperf3", "-c", e.addr[1].String(), "-t", "60", "--forceflush"))
			if err != nil {
				t.Fatal(err)
			}
			if err := load.WaitFor(w.ctx, "connected"); err != nil {
				t.Fatal(err)
			}
			gateways[end].Kill()
			w.eventually("the device to go", func() bool { return !w.hasDevice(end, "o7") })
			w.gateway(end, end, addr4(0, end+1), addr4(0, 2), false)
			w.reach(0, e.addr[1], e.addr6[1])
			w.reach(1, e.addr[0])
		})
	}
}

func (w *world) hasDevice(i int, name string) bool {
	w.t.Helper()
	links, err := w.hosts[i].Links()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range links {
		if l == name {
			return true
		}
	}
	return false
}

// readToTheEnd opens a flow to the name and prints how its end looks.
func readToTheEnd(ctx context.Context, args []string) error {
	s, err := o7s.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer s.Close()
	f, err := s.Dial(ctx, args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Println("open")
	_, _, err = f.ReadPacket(make([]byte, 10))
	fmt.Printf("read: %v\n", err)
	fmt.Printf("write: %v\n", f.WritePacket([]byte("x")))
	return nil
}

// The end of a flow because of the death of the own daemon looks different
// from an end that the peer made, of which nothing is missing.
func TestEndWithTheDaemon(t *testing.T) {
	for _, c := range []struct {
		name string
		kill int // what is killed: daemon of the client, or the server
		want string
	}{
		{"daemon", 0, "connection to the IRM daemon was lost"},
		{"server", 1, "read: EOF\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 30*time.Second, 2)
			daemon, _ := w.udpPair(addr4, "echo")
			server := w.role(1, "listening", "echo-server", "echo")
			client := w.role(0, "open", "read-to-the-end", "echo")
			begin := time.Now()
			[]*lab.Proc{daemon.Proc, server}[c.kill].Kill()
			w.within(noticed, client)
			t.Logf("noticed after %v", time.Since(begin))
			if out := client.Output(); !strings.Contains(out, c.want) {
				t.Errorf("the client printed:\n%s", out)
			}
		})
	}
}
