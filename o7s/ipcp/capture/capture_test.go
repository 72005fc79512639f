// SPDX-License-Identifier: BSD-3-Clause

package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"reflect"
	"testing"
	"time"

	"o7gw/o7s/layer"
)

// session is what is known of a recording from its making.
type session struct {
	file             string
	frames, ofLayer  int
	responder, asker string   // every flow was asked for by one side
	asked            []string // s after the first frame
	names            []string
	packets          []int // of the flows, with two CEP messages each
	fa, dht, user    int   // packets of the layer
	ttl              uint8
}

var sessions = []session{
	{"bc-eth1.pcap", 29, 16, "0e:ed:6c:4b:80:ba", "7e:73:be:05:03:26", []string{"1.189", "2.211"}, []string{"bc.a", "bc.a"}, []int{5, 5}, 0, 0, 0, 0},
	{"line-eth1.pcap", 58, 43, "d2:24:c0:22:93:7d", "76:0f:65:1c:d0:98", []string{"0.572", "1.597", "2.599"}, []string{"uni.a", "uni.a", "uni.a"}, []int{5, 9, 21}, 2, 7, 10, 60},
	{"line-eth2.pcap", 59, 45, "92:71:58:0c:73:ae", "4e:48:06:71:9f:f2", []string{"3.898", "4.917", "5.919"}, []string{"uni.b", "uni.b", "uni.b"}, []int{5, 9, 22}, 2, 8, 10, 60},
	{"uni-dix-data.pcap", 70, 58, "7e:94:0d:f6:ad:46", "f6:b4:a4:db:f4:08", []string{"1.045", "2.064", "3.066"}, []string{"net", "uni.a", "uni.a"}, []int{5, 4, 39}, 2, 5, 30, 60},
	{"uni-dix-sha384-ecmp-nocc.pcap", 50, 38, "9e:99:06:36:2d:1b", "2a:72:d7:73:e7:f9", []string{"1.153", "2.172", "3.174"}, []string{"net", "uni.a", "uni.a"}, []int{5, 4, 19}, 2, 5, 10, 16},
	{"uni-dix.pcap", 50, 38, "da:d5:1c:ea:57:b9", "c6:26:f6:b7:89:47", []string{"1.112", "2.132", "3.134"}, []string{"net", "uni.a", "uni.a"}, []int{5, 4, 19}, 2, 5, 10, 60},
	{"uni-udp4.pcap", 48, 34, "10.7.0.1", "10.7.0.2", []string{"0.931", "1.951", "2.952"}, []string{"net", "uni.a", "uni.a"}, []int{5, 4, 19}, 2, 5, 10, 60},
}

func TestCapture(t *testing.T) {
	var names []string
	for _, s := range sessions {
		names = append(names, s.file)
		t.Run(s.file, func(t *testing.T) { s.check(t) })
	}
	if !reflect.DeepEqual(Names(), names) {
		t.Errorf("recordings %v, want %v", Names(), names)
	}
}

func (s session) check(t *testing.T) {
	frames, err := Open(s.file)
	if err != nil {
		t.Fatal(err)
	}
	ofLayer := 0
	for i, f := range frames {
		if _, ok := decode(f.Data); ok {
			ofLayer++
		}
		if i > 0 && f.Time.Before(frames[i-1].Time) {
			t.Errorf("frame %d is older than the one before it", i)
		}
	}
	if len(frames) != s.frames || ofLayer != s.ofLayer {
		t.Errorf("%d frames, %d of the layer, want %d, %d", len(frames), ofLayer, s.frames, s.ofLayer)
	}
	hash := layer.SHA3_256
	if s.file == "uni-udp4.pcap" {
		hash = layer.MD5
	}
	flows := Flows(frames)
	if len(flows) != len(s.asked) {
		t.Fatalf("%d flows, want %d", len(flows), len(s.asked))
	}
	kinds := []Kind{Enrollment, Management, DataTransfer}
	eids := []uint32{64, 64, 65}
	if len(flows) == 2 { // a broadcast layer
		kinds, eids = []Kind{Enrollment, DataTransfer}, []uint32{64, 64}
	}
	for i, f := range flows {
		if at := fmt.Sprintf("%.3f", f.Time.Sub(frames[0].Time).Seconds()); f.Requester != s.asker || f.Responder != s.responder || !near(at, s.asked[i]) {
			t.Errorf("flow %d: %s asked %s at %s", i, f.Requester, f.Responder, at)
		}
		if f.Kind != kinds[i] || f.RequesterEID != eids[i] || f.ResponderEID != eids[i] || f.Name != hash.Sum(s.names[i]) || f.Response != 0 {
			t.Errorf("flow %d: %v, EIDs %d %d, name %s, response %d", i, f.Kind, f.RequesterEID, f.ResponderEID, f.Name.Short(), f.Response)
		}
		if len(f.Request) != 36 || len(f.Reply) != 84 || len(f.Packets) != s.packets[i] {
			t.Errorf("flow %d: OAP messages of %d and %d bytes, %d packets", i, len(f.Request), len(f.Reply), len(f.Packets))
		}
		asked, answered := f.CEP()
		if name := []byte(f.Kind.String()); !bytes.Contains(asked, name) || !bytes.Contains(answered, name) {
			t.Errorf("flow %d: CEP messages % x, % x", i, asked, answered)
		}
		if len(f.Payload()) != len(f.Packets)-2 {
			t.Errorf("flow %d: %d packets behind the CEP messages", i, len(f.Payload()))
		}
		s.checkPDUs(t, f)
	}
}

// near compares two times that were rounded, to 1 ms.
func near(a, b string) bool {
	x, err := time.ParseDuration(a + "s")
	y, err2 := time.ParseDuration(b + "s")
	return err == nil && err2 == nil && (x-y).Abs() <= time.Millisecond
}

func (s session) checkPDUs(t *testing.T, f *Flow) {
	var fa, dht, user int
	for _, p := range f.PDUs() {
		switch p.EID {
		case 0:
			fa++
		case 1:
			dht++
		default:
			user++
			if id := p.EID & 0xffffffff; id != 0x42 {
				t.Errorf("EID %x", p.EID)
			}
		}
		if p.TTL != s.ttl && p.TTL != s.ttl-1 || p.Cube != 0 || p.ECN != 0 || len(p.Payload) != len(p.Data)-15 {
			t.Errorf("header % x", p.Data[:15])
		}
	}
	if f.Kind != DataTransfer {
		if fa+dht+user > 0 {
			t.Errorf("%v has PDUs", f.Kind)
		}
		return
	}
	if s.ttl > 0 && (fa != s.fa || dht != s.dht || user != s.user) {
		t.Errorf("%d packets for the flow allocator, %d for the directory, %d for flows; want %d, %d, %d", fa, dht, user, s.fa, s.dht, s.user)
	}
}

// Three members of the broadcast layer said something, the first of them on the
// responder's side.
func TestCaptureBroadcast(t *testing.T) {
	flows, err := Load("bc-eth1.pcap")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range flows[1].Payload() {
		got = append(got, fmt.Sprintf("%v %q", p.FromRequester, p.Data))
	}
	want := []string{`false "hello from A\x00"`, `true "hello from B\x00"`, `true "hello from C\x00"`}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// 14 packets are in both files of the line, with one hop between.
func TestCaptureLine(t *testing.T) {
	seen := map[string]bool{}
	both := 0
	for _, file := range []string{"line-eth1.pcap", "line-eth2.pcap"} {
		flows, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range flows[2].PDUs() {
			b := bytes.Clone(p.Data)
			b[5] = 120 - 1 - b[5] // the TTL at the other link, if it was forwarded
			if seen[string(b)] {
				both++
			}
			seen[string(p.Data)] = true
		}
	}
	if both != 14 {
		t.Errorf("%d packets in both files", both)
	}
}

func TestOpenUnknown(t *testing.T) {
	if _, err := Load("nothing.pcap"); err == nil {
		t.Error("no error")
	}
}

// No file and no frame, however broken, does harm.
func FuzzFlows(f *testing.F) {
	for _, name := range []string{"uni-udp4.pcap", "bc-eth1.pcap"} {
		b, err := fs.ReadFile(files, "testdata/"+name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frames, err := parse(b)
		if err != nil {
			return
		}
		n := 0
		for _, flow := range Flows(frames) {
			n += len(flow.Packets)
			if got := len(flow.Payload()); flow.Kind == Raw && got != len(flow.Packets) || flow.Kind != Raw && got != len(flow.Packets)-2 {
				t.Errorf("%v: %d packets of %d behind the CEP messages", flow.Kind, got, len(flow.Packets))
			}
			for _, p := range flow.PDUs() {
				if binary.LittleEndian.Uint32(p.Data) != uint32(p.Dst) {
					t.Errorf("destination %x of % x", p.Dst, p.Data)
				}
			}
		}
		if n > len(frames) {
			t.Errorf("%d packets in %d frames", n, len(frames))
		}
	})
}
