// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The answers as a program of others reads them.
func TestDig(t *testing.T) {
	dig, err := exec.LookPath("dig")
	if err != nil {
		t.Skip("no dig here (Debian: bind9-dnsutils)")
	}
	s := relaying(t, upstreamServer(t, func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg)
		r.SetReply(m)
		for i := range 40 {
			r.Answer = append(r.Answer, record(fmt.Sprintf("%s 300 IN TXT \"%s %d\"", m.Question[0].Name, strings.Repeat("x", 60), i))...)
		}
		if w.LocalAddr().Network() == "udp" {
			r.Truncate(dns.MinMsgSize)
		}
		w.WriteMsg(r)
	}))
	at := s.Addrs()[0]
	for _, c := range []struct {
		args string
		want []string
	}{
		{"web.o7s +short", []string{"\n" + web4 + "\n"}},
		{"+noedns wEb.O7S", []string{"status: NOERROR", "wEb.O7S.\t\t60\tIN\tA\t" + web4}},
		{"AAAA web.o7s +tcp +short", []string{"\n" + web6 + "\n"}},
		{"-x " + web4 + " +short", []string{"\nweb.o7s.\n"}},
		{"-x " + web6 + " +short", []string{"\nweb.o7s.\n"}},
		{"HTTPS web.o7s", []string{"status: NOERROR", "ANSWER: 0, AUTHORITY: 1", "flags: qr aa rd ra"}},
		{"web.o7s +bufsize=4096 +dnssec +cookie", []string{"EDNS: version: 0, flags: do; udp: 1232", web4}},
		{"web.o7s +edns=7 +noednsnegotiation", []string{"status: BADVERS"}},
		{"a..b.o7s", []string{"not a legal"}},
		{`a\.b.o7s`, []string{"status: NXDOMAIN", "o7s.\t\t\t3\tIN\tSOA\to7s. nobody.invalid."}},
		{"ANY web.o7s +notcp", []string{"RFC8482"}},
		{"AXFR o7s", []string{"Transfer failed"}},
		{"CH TXT version.bind", []string{"status: REFUSED"}},
		{"+opcode=UPDATE o7s SOA", []string{"status: NOTIMP"}},
		{"TXT big.example", []string{"status: NOERROR", "ANSWER: 40", "(TCP)"}},
		{"TXT big.example +ignore +bufsize=600", []string{"flags: qr tc rd ra"}},
	} {
		args := append([]string{"+time=10", "+tries=1", "@" + at.Addr().String(), "-p", fmt.Sprint(at.Port())}, strings.Fields(c.args)...)
		out, _ := exec.Command(dig, args...).CombinedOutput() // it fails where it should
		for _, w := range c.want {
			if !strings.Contains("\n"+string(out), w) {
				t.Errorf("dig %s does not say %q:\n%s", c.args, w, out)
			}
		}
		if strings.Contains(string(out), "WARNING") && strings.Contains(string(out), "status: NOERROR") {
			t.Errorf("dig %s warns:\n%s", c.args, out)
		}
	}
}
