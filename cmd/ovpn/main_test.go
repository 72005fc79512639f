// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// The lines and exit codes are those of the prototype's console and of spec 40
// §6.6.
func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"", "Please specify an IP address.", 1},
		{"-n x -i 10.0.0.1 -m 255.0.255.0", "Invalid subnet mask: 255.0.255.0.", 1},
		{"-n x -i 10.0.0.1", "Please specify a subnetmask.", 1},
		{"-i 10.0.0.300 -m 255.0.0.0", "Invalid IP address: 10.0.0.300.", 1},
		{"-i 10.0.0.1 -m 33", "Invalid subnet mask: 33.", 1},
		{"-i 10.0.0.1 -m 24 rest of line", "Unknown arguments specified: rest of line.", 1},
		{"-x", "Unknown arguments specified: -x.", 1},
		{"--r", "", 1},
		{"--nothing", "Unknown arguments specified: --nothing.", 1},
		{"-n x -i 10.0.0.1 -m 24 -q gold", "Unknown QoS cube: gold.", 1},
		{"-i 10.0.0.1 -m 24 --qos=raw", "The QoS is for a client: a server takes what is asked for.", 1},
		{"-i", "Option -i needs an argument.", 1},
	} {
		var b bytes.Buffer
		code := run(context.Background(), strings.Fields(c.args), true, &b)
		if code != c.code || !strings.HasPrefix(b.String(), c.want) || c.want != "" && !strings.HasSuffix(b.String(), "\n\n"+usage) {
			t.Errorf("%q: exit %d\n%s", c.args, code, &b)
		}
	}
}

func TestHelpAndRoot(t *testing.T) {
	for _, arg := range []string{"--help", "-h", "--he"} {
		var b bytes.Buffer
		if code := run(context.Background(), []string{arg}, false, &b); code != 0 || b.String() != usage {
			t.Errorf("%s: exit %d\n%s", arg, code, &b)
		}
	}
	var b bytes.Buffer
	if code := run(context.Background(), []string{"-i", "rubbish"}, false, &b); code != 1 || b.String() != "ovpn must be run as root.\n" {
		t.Errorf("exit %d\n%s", code, &b)
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct{ args, name, addr string }{
		{"-n srv -i 10.0.0.1 -m 255.255.255.0", "srv", "10.0.0.1/24"},
		{"--name=srv --ip 10.0.0.1 --mask 255.255.255.255", "srv", "10.0.0.1/32"},
		{"--na srv -i10.0.0.1 -m/9", "srv", "10.0.0.1/9"},
		{"-i fd00::1 -m 64", "", "fd00::1/64"},
		{"-i 10.0.0.1 -m 0.0.0.0", "", "10.0.0.1/0"},
	} {
		o, err := parse(strings.Fields(c.args))
		if err != nil || o.name != c.name || o.addr.String() != c.addr {
			t.Errorf("%q: %+v, %v", c.args, o, err)
		}
	}
}

func TestNoDaemon(t *testing.T) {
	args := []string{"-n", "x", "-i", "10.0.0.1", "-m", "24", "--run-dir", t.TempDir()}
	var b bytes.Buffer
	if code := run(context.Background(), args, true, &b); code != 1 || !strings.HasPrefix(b.String(), "Failed to connect to the IRM daemon") {
		t.Errorf("exit %d\n%s", code, &b)
	}
	b.Reset()
	if code := run(context.Background(), append(args, "--json"), true, &b); code != 1 {
		t.Errorf("exit %d", code)
	}
	var e event
	if err := json.Unmarshal(b.Bytes(), &e); err != nil || e.Event != "error" {
		t.Errorf("%v: %s", err, &b)
	}
}
