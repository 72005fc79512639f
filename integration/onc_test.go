// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o7gw/integration/lab"
)

// script runs a script on host i in which our programs can be called by their
// names.
func (w *world) script(i int, text string) *lab.Proc {
	w.t.Helper()
	cmd := exec.Command("bash", "-c", "set -euo pipefail\n"+text)
	cmd.Env = append(os.Environ(), "O7S_RUN_DIR="+w.dirs[i], "PATH="+bin+":"+os.Getenv("PATH"))
	p, err := w.hosts[i].Start(cmd)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// scriptEnds waits for the end of a script, which must succeed, and returns
// what it printed.
func (w *world) scriptEnds(p *lab.Proc) string {
	w.t.Helper()
	if err := p.Wait(w.ctx); err != nil {
		w.t.Fatalf("%v; it printed:\n%s", err, p.Output())
	}
	return p.Output()
}

// oncListens starts onc -l on a host and waits until it can be found.
func (w *world) oncListens(i int, script string) *lab.Proc {
	w.t.Helper()
	p := w.script(i, script)
	if err := p.WaitFor(w.ctx, "onc: listening on"); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// tree makes a directory with some files, of sizes on both sides of a packet.
func (w *world) tree() string {
	w.t.Helper()
	dir := filepath.Join(w.dir, "tree")
	r := rand.NewChaCha8([32]byte{4})
	for i, size := range []int{0, 1, 1399, 1400, 1401, 65536, 5 << 20} {
		sub := filepath.Join(dir, fmt.Sprint("sub", i%3))
		data := make([]byte, size)
		r.Read(data)
		err := errors.Join(os.MkdirAll(sub, 0o755), os.WriteFile(filepath.Join(sub, fmt.Sprint("file ", i)), data, 0o640))
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if err := os.Symlink("sub0", filepath.Join(dir, "link")); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// Files go from host to host with tar, over each kind of layer.
func TestOncTar(t *testing.T) {
	needs(t, "tar", "diff")
	for _, kind := range []string{"local", "udp4", "unicast"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, 60*time.Second, 2)
			server := 1
			switch kind {
			case "local":
				w.daemon(0)
				server = 0
			case "udp4":
				w.udpPair(addr4, "backup", "sort")
			default:
				w.unicastLine([]string{"udp4"}, "", "backup", "sort", "ping")
				w.start(1, "started", "oping", "-l", "-Q", "-n", "ping")
				w.pingAcross(0, "ping")
			}
			from, to := w.tree(), filepath.Join(w.dir, "copy")
			if err := os.Mkdir(to, 0o755); err != nil {
				t.Fatal(err)
			}
			receiver := w.oncListens(server, "onc -vl backup | tar x -C "+to)
			w.scriptEnds(w.script(0, "tar c -C "+from+" . | onc backup"))
			w.scriptEnds(receiver)
			w.system(0, "diff", "-r", "--no-dereference", from, to)

			// A program that answers only after the end of its input.
			w.oncListens(server, "exec onc -vlk -e sort sort")
			if out := w.scriptEnds(w.script(0, "printf 'b\\nc\\na\\n' | onc sort")); out != "a\nb\nc\n" {
				t.Errorf("sort printed %q", out)
			}
		})
	}
}

// An OpenSSH client reaches an OpenSSH server over a flow.
func TestOncSSH(t *testing.T) {
	needs(t, "ssh", "sshd", "ssh-keygen", "cmp")
	w := newWorld(t, 60*time.Second, 2)
	w.unicastLine([]string{"udp4"}, "", "box", "ping")
	w.start(1, "started", "oping", "-l", "-Q", "-n", "ping")
	w.pingAcross(0, "ping")

	ssh := w.sshd(1, "127.0.0.1:2222")
	server := w.oncListens(1, "exec onc -vlk --tcp 127.0.0.1:2222 box")
	if out := w.scriptEnds(w.script(0, ssh+`'echo "over a flow"; echo diagnosis >&2'`)); !strings.Contains(out, "over a flow\n") || !strings.Contains(out, "diagnosis\n") {
		t.Errorf("ssh printed %q", out)
	}
	file := filepath.Join(w.tree(), "sub0", "file 6")
	copied := filepath.Join(w.dir, "copied")
	w.scriptEnds(w.script(0, ssh+"cat <'"+file+"' >"+copied))
	w.system(0, "cmp", file, copied)
	w.scriptEnds(w.script(0, "status=0\n"+ssh+"'exit 7' || status=$?\n[ $status = 7 ]"))
	if out := server.Output(); strings.Contains(out, "error") {
		t.Errorf("onc printed:\n%s", out)
	}
}

// sshd starts an OpenSSH server of its own on host i, and returns the beginning
// of a command line that calls a host box by way of onc.
func (w *world) sshd(i int, addr string) (client string) {
	w.t.Helper()
	dir := filepath.Join(w.dir, "ssh")
	if err := os.Mkdir(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	for _, key := range []string{"host", "user"} {
		w.system(i, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
	}
	hostKey, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		w.t.Fatal(err)
	}
	config := fmt.Sprintf("ListenAddress %s\nHostKey %s/host\nAuthorizedKeysFile %s/user.pub\nPidFile none\n"+
		"UsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n", addr, dir, dir)
	for name, data := range map[string]string{"config": config, "known": "box " + string(hostKey)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	// Where sshd confines its unprivileged part; a system that starts sshd as a
	// service has it.
	if err := os.Mkdir("/run/sshd", 0o755); err == nil {
		w.t.Cleanup(func() { os.Remove("/run/sshd") })
	} else if !errors.Is(err, fs.ErrExist) {
		w.t.Fatal(err)
	}
	path, err := exec.LookPath("sshd")
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := w.hosts[i].Start(exec.Command(path, "-D", "-e", "-f", filepath.Join(dir, "config")))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.WaitFor(w.ctx, "Server listening on"); err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprintf("ssh -F none -T -i %s/user -o IdentitiesOnly=yes -o UserKnownHostsFile=%s/known -o BatchMode=yes -o ProxyCommand='onc %%h' root@box ", dir, dir)
}
