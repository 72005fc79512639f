// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/layer"
	"o7gw/o7s/security"
)

// Shapes of irm as messages and back. What comes from a message is only cut
// to its type here; the IRM checks what it means.

func ipcpToPB(i irm.IPCPInfo) *irmpb.IPCP {
	return &irmpb.IPCP{
		Id: int64(i.ID), Name: []byte(i.Name), Type: uint32(i.Type), State: uint32(i.State), Layer: []byte(i.Layer),
		Hash: uint32(i.Hash), Addr: []byte(i.Addr), Mtu: int64(i.MTU), Flows: int64(i.Flows),
	}
}

func ipcpFromPB(p *irmpb.IPCP) irm.IPCPInfo {
	return irm.IPCPInfo{
		ID: int(p.GetId()), Name: string(p.GetName()), Type: ipcp.Type(clamp8(p.GetType())), State: ipcp.State(clamp8(p.GetState())),
		Layer: string(p.GetLayer()), Hash: layer.HashAlgo(clamp8(p.GetHash())), Addr: string(p.GetAddr()),
		MTU: int(p.GetMtu()), Flows: int(p.GetFlows()),
	}
}

func layerToPB(i ipcp.Info) *irmpb.Layer {
	return &irmpb.Layer{Name: []byte(i.Layer), Hash: uint32(i.Hash), Mtu: int64(i.MTU), MplNs: int64(i.MPL)}
}

func layerFromPB(p *irmpb.Layer) ipcp.Info {
	return ipcp.Info{
		Layer: string(p.GetName()), Hash: layer.HashAlgo(clamp8(p.GetHash())),
		MTU: int(p.GetMtu()), MPL: time.Duration(p.GetMplNs()),
	}
}

func protectionToPB(p irm.Protection) *irmpb.Security {
	if p == (irm.Protection{}) {
		return nil
	}
	return &irmpb.Security{
		Enc: []byte(p.Enc), Cert: []byte(p.Cert), Key: []byte(p.Key),
		RequireEncryption: p.Require.Encryption, RequireAuthentication: p.Require.Authentication,
	}
}

func protectionFromPB(p *irmpb.Security) irm.Protection {
	return irm.Protection{
		Paths:   security.Paths{Enc: string(p.GetEnc()), Cert: string(p.GetCert()), Key: string(p.GetKey())},
		Require: security.Require{Encryption: p.GetRequireEncryption(), Authentication: p.GetRequireAuthentication()},
	}
}

func bindingToPB(b irm.ProgramBinding) *irmpb.Program {
	p := &irmpb.Program{
		Path: []byte(b.Path), Auto: b.Auto, Name: []byte(b.Name),
		Uid: b.Creds.UID, Gid: b.Creds.GID, Pid: int64(b.Creds.PID), Admin: b.Creds.Admin,
	}
	for _, a := range b.Args {
		p.Args = append(p.Args, []byte(a))
	}
	return p
}

func bindingFromPB(p *irmpb.Program) irm.ProgramBinding {
	b := irm.ProgramBinding{
		Path: string(p.GetPath()), Auto: p.GetAuto(), Name: string(p.GetName()),
		Creds: irm.Creds{UID: p.GetUid(), GID: p.GetGid(), PID: int(p.GetPid()), Admin: p.GetAdmin()},
	}
	for _, a := range p.GetArgs() {
		b.Args = append(b.Args, string(a))
	}
	return b
}

// nameToPB takes the fields that CreateName looks at.
func nameToPB(n irm.NameInfo) *irmpb.Name {
	return &irmpb.Name{
		Name: []byte(n.Name), Policy: uint32(n.Policy), Owner: n.Owner,
		Server: protectionToPB(n.Server), Client: protectionToPB(n.Client),
	}
}

func nameFromPB(p *irmpb.Name) irm.NameInfo {
	n := irm.NameInfo{
		Name: string(p.GetName()), Policy: irm.Policy(clamp8(p.GetPolicy())), Owner: p.GetOwner(),
		Server: protectionFromPB(p.GetServer()), Client: protectionFromPB(p.GetClient()),
	}
	addToName(&n, p)
	return n
}

// addToName appends the lists of one element to a name.
func addToName(n *irm.NameInfo, p *irmpb.Name) {
	for _, b := range p.GetPrograms() {
		n.Programs = append(n.Programs, bindingFromPB(b))
	}
	for _, pid := range p.GetProcesses() {
		n.Processes = append(n.Processes, int(pid))
	}
	for _, b := range p.GetIpcps() {
		n.IPCPs = append(n.IPCPs, irm.BoundIPCP{ID: int(b.GetIpcp()), Name: string(b.GetName())})
	}
	for _, r := range p.GetRegistered() {
		n.Registered = append(n.Registered, irm.Registration{
			IPCP: int(r.GetIpcp()), Name: string(r.GetName()), Hash: layer.Hash(r.GetHash()),
		})
	}
}

func flowInfoToPB(f irm.FlowInfo) *irmpb.FlowInfo {
	return &irmpb.FlowInfo{
		Id: int64(f.ID), Name: []byte(f.Name), Pid: int64(f.PID), Uid: f.UID, Server: f.Server, Direct: f.Direct,
		Ipcp: int64(f.IPCP), Peer: int64(f.Peer), State: uint32(f.State), Qos: qosToPB(f.QoS), MplNs: int64(f.MPL), Mtu: int64(f.MTU),
		User: int64(f.User), Cipher: uint32(f.Cipher), PeerName: []byte(f.PeerName),
	}
}

func flowInfoFromPB(p *irmpb.FlowInfo) irm.FlowInfo {
	return irm.FlowInfo{
		ID: int(p.GetId()), Name: string(p.GetName()), PID: int(p.GetPid()), UID: p.GetUid(), Server: p.GetServer(), Direct: p.GetDirect(),
		User: int(p.GetUser()), IPCP: int(p.GetIpcp()), Peer: int(p.GetPeer()), State: irm.FlowState(clamp8(p.GetState())), QoS: qosFromPB(p.GetQos()),
		MPL: time.Duration(p.GetMplNs()), MTU: int(p.GetMtu()), Cipher: uint16(p.GetCipher()), PeerName: string(p.GetPeerName()),
	}
}
