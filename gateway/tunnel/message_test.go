// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// The bytes stand in docs/tunnel.md.
func TestMessageGolden(t *testing.T) {
	for _, c := range []struct {
		m    message
		want string
	}{
		{message{typ: typeAnnounce, part: 0, parts: 1, seq: 7, mtu: 1467, prefixes: pfx("10.77.0.1/32", "fd00:77::/64")},
			"c701010001000002" + "00000007000005bb" + "04200a4d0001" + "0640fd000077000000000000000000000000"},
		{message{typ: typeAck, part: 0, parts: 1, seq: 7, mtu: 1467, refused: 1},
			"c701020001000001" + "00000007000005bb"},
	} {
		b := c.m.append(nil)
		if got := hex.EncodeToString(b); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		if v := b[0] >> 4; v == 4 || v == 6 {
			t.Error("control packet looks like an IP packet")
		}
		m, n, err := parseMessage(append(b, "extension"...))
		if err != nil || n != len(b) || !bytes.Equal(m.append(nil), b) {
			t.Errorf("%+v, %d, %v", m, n, err)
		}
	}
}

func FuzzMessage(f *testing.F) {
	m := message{typ: typeAnnounce, parts: 2, part: 1, seq: 1, mtu: 1400, prefixes: pfx("0.0.0.0/0", "::/0", "192.168.0.0/16")}
	f.Add(m.append(nil))
	f.Add((&message{typ: typeAck, parts: 1, refused: 3}).append(nil))
	f.Add([]byte{controlMagic, 1, typeAnnounce, 0, 1, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, n, err := parseMessage(b)
		if err == nil {
			if n > len(b) {
				t.Fatalf("used %d of %d bytes", n, len(b))
			}
			again := m.append(nil)
			want := slices.Clone(b[:n])
			want[5] = 0 // reserved
			if !bytes.Equal(again, want) {
				t.Fatalf("%x became %x", want, again)
			}
		}
		x := exchange{flowMTU: 1400}
		x.announce(time.Time{}, pfx("10.0.0.1/32"), 1400)
		x.handle(b, func(p []netip.Prefix) int { return len(p) })
		x.handle(b, func(p []netip.Prefix) int { return len(p) })
		if len(x.theirs)+len(x.collected) > maxPrefixes {
			t.Fatal("remembers too much")
		}
	})
}
