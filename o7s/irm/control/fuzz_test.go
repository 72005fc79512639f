// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"math"
	"testing"

	"google.golang.org/protobuf/proto"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/qos"
)

// FuzzRequest gives a daemon one message after Hello; whatever it is, others
// must still be served.
func FuzzRequest(f *testing.F) {
	for _, r := range []*irmpb.Request{
		{Id: 2, Op: &irmpb.Request_Cancel{Cancel: &irmpb.Cancel{Request: 1}}},
		{Id: 2, TimeoutMs: 1, Op: &irmpb.Request_Alloc{Alloc: &irmpb.Named{Name: []byte("n"), Qos: qosToPB(qos.Raw)}}},
		{Id: 2, TimeoutMs: 1, Op: &irmpb.Request_Accept{Accept: &irmpb.Named{}}},
		{Id: 2, TimeoutMs: 1, Op: &irmpb.Request_Alloc{Alloc: &irmpb.Named{Name: []byte("n"), Kept: 1}}},
		{Id: 2, Op: &irmpb.Request_Query{Query: &irmpb.Named{Name: []byte("n")}}},
		{Id: 2, Op: &irmpb.Request_Join{Join: &irmpb.Named{Name: []byte("l")}}},
		deallocRequest(2),
		{Id: 2, Op: &irmpb.Request_Listen{Listen: &irmpb.Named{Name: []byte("n")}}},
		{Id: 2, Op: &irmpb.Request_CreateIpcp{CreateIpcp: &irmpb.IPCP{Type: uint32(ipcp.EthDIX), Name: []byte("i")}}},
		{Id: 2, Op: &irmpb.Request_Bootstrap{Bootstrap: &irmpb.Bootstrap{
			Ipcp: 1, Type: 5, Layer: []byte("l"), Udp: &irmpb.UDP{Addr: []byte{10, 0, 0, 1}, Hosts: []*irmpb.Host{{Name: []byte("h"), Addrs: [][]byte{{1, 2, 3, 4}}}}},
		}}},
		{Id: 2, TimeoutMs: 1, Op: &irmpb.Request_Enroll{Enroll: &irmpb.Enroll{Ipcp: 1, Dst: []byte("d")}}},
		{Id: 2, Op: &irmpb.Request_CreateName{CreateName: &irmpb.Name{Name: []byte("n"), Policy: 1, Server: &irmpb.Security{Enc: []byte("e")}}}},
		{Id: 2, Op: &irmpb.Request_BindProgram{BindProgram: &irmpb.Program{Path: []byte("/p"), Name: []byte("n"), Args: [][]byte{{}}}}},
		{Id: 2, Op: &irmpb.Request_BindProcess{BindProcess: processOf(1, "n")}},
		{Id: 2, Op: &irmpb.Request_Register{Register: &irmpb.Registration{Ipcp: 1, Name: []byte("n")}}},
		{Id: 2, Op: &irmpb.Request_ListNames{ListNames: &irmpb.Empty{}}},
		{Id: 2, Op: &irmpb.Request_BindIpcp{BindIpcp: &irmpb.Registration{Ipcp: 1, Name: []byte("n")}}},
		{Id: 2, Op: &irmpb.Request_ReadRib{ReadRib: &irmpb.RIB{Path: []byte("a//../\x00"), Everything: true}}},
		{Id: 2, Op: &irmpb.Request_Status{Status: &irmpb.Empty{}}},
	} {
		f.Add(encode(f, r))
	}
	a, b := pairOfDaemons(f)
	good := a.dial(f)
	hello := helloMessage(f)
	_ = b
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) > MaxRequest {
			return
		}
		c := a.raw(t)
		for _, m := range [][]byte{hello, msg} {
			if _, err := c.Write(m); err != nil {
				t.Fatal(err)
			}
		}
		c.CloseWrite()
		disconnects(t, c)
		if _, err := good.Status(testContext(t)); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzReply gives a client one message as the answer to each kind of request.
func FuzzReply(f *testing.F) {
	for _, r := range []*irmpb.Reply{
		{Id: 1},
		{Id: 1, Code: -7, Text: []byte("no")},
		{Id: 1, More: true, Names: []*irmpb.Name{{Name: []byte("n")}, {Name: []byte("n"), Processes: []int64{1}}}},
		{Id: 1, Result: &irmpb.Reply_Flow{Flow: &irmpb.Flow{Id: 1, Side: 9}}},
		{Id: 1, Result: &irmpb.Reply_Flow{Flow: &irmpb.Flow{Id: 1, Kept: true}}},
		{Id: 1, Processes: []*irmpb.Process{{Names: [][]byte{[]byte("n")}}}, Programs: []*irmpb.Program{{Args: [][]byte{nil}}}},
		{Id: 1, Nodes: []*irmpb.RIBNode{{Path: []byte("a"), LabelWidth: 1 << 31, Fields: []*irmpb.RIBField{
			{Label: []byte("x:"), Value: &irmpb.RIBField_Real{Real: math.NaN()}}, {Value: &irmpb.RIBField_Text{Text: []byte("\xff\n")}},
		}}, {Path: []byte("a"), Dir: true}}},
		{Id: 1, Ipcps: []*irmpb.IPCP{{Type: 300}}, Flows: []*irmpb.FlowInfo{{State: 300}}},
	} {
		b, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		r := new(irmpb.Reply)
		if proto.Unmarshal(msg, r) != nil {
			return
		}
		fake := &Client{done: make(chan struct{}), wake: make(chan struct{}, 1), calls: map[uint64]*call{}}
		k := &call{id: 1, done: make(chan struct{})}
		fake.calls[1] = k
		if fake.deliver(r, nil) != nil || r.GetMore() {
			return
		}
		<-k.done
		if k.err != nil {
			if k.err.Error() == "" {
				t.Error("error without text")
			}
			return
		}
		if _, err := openRing(k, nil); err == nil {
			t.Error("a ring without files")
		}
		read := k.replies
		ipcpsOf(read)
		namesOf(read)
		processesOf(read)
		programsOf(read)
		flowsOf(read)
		for _, n := range nodesOf(read) {
			n.Entry.AppendText(nil)
			if _, err := n.Entry.MarshalJSON(); err != nil {
				t.Error(err)
			}
		}
	})
}
