// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"time"

	"o7gw/o7s/irm"
	"o7gw/o7s/oap/cipher"
)

// The JSON of lists: arrays of objects whose field names stay as they are.

type jsonIPCP struct {
	ID      int    `json:"id"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	State   string `json:"state"`
	Layer   string `json:"layer"` // empty: in none
	Hash    string `json:"hash"`
	Address string `json:"address"`
	MTU     int    `json:"mtu"` // bytes
	Flows   int    `json:"flows"`
}

func ipcpsJSON(list []irm.IPCPInfo) []jsonIPCP {
	out := make([]jsonIPCP, len(list))
	for i, p := range list {
		out[i] = jsonIPCP{p.ID, p.Name, p.Type.String(), p.State.String(), p.Layer, p.Hash.String(), p.Addr, p.MTU, p.Flows}
	}
	return out
}

type jsonPaths struct {
	Enc string `json:"enc"` // empty: the default
	Crt string `json:"crt"`
	Key string `json:"key"`
	// Require is what flows must have: "encryption", "authentication", or both
	// with a comma.
	Require string `json:"require"`
}

func pathsJSON(p irm.Protection) jsonPaths {
	return jsonPaths{p.Enc, p.Cert, p.Key, irm.FormatRequire(p.Require)}
}

type jsonProgram struct {
	Path string   `json:"path"`
	Args []string `json:"args"`
	Auto bool     `json:"auto"`
	Name string   `json:"name"`
	UID  uint32   `json:"uid"`
}

type jsonRegistration struct {
	IPCP int    `json:"ipcp"` // its id
	Name string `json:"name"` // of the IPCP
	Hash string `json:"hash"` // hexadecimal
}

type jsonBound struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

type jsonName struct {
	Name       string             `json:"name"`
	Policy     string             `json:"policy"`
	Owner      uint32             `json:"owner"` // uid
	Server     jsonPaths          `json:"server"`
	Client     jsonPaths          `json:"client"`
	Programs   []jsonProgram      `json:"programs"`
	Processes  []int              `json:"processes"`
	IPCPs      []jsonBound        `json:"ipcps"`
	Registered []jsonRegistration `json:"registered"`
}

func programJSON(b irm.ProgramBinding) jsonProgram {
	return jsonProgram{b.Path, append([]string{}, b.Args...), b.Auto, b.Name, b.Creds.UID}
}

func nameJSON(n irm.NameInfo) jsonName {
	out := jsonName{
		Name: n.Name, Policy: n.Policy.String(), Owner: n.Owner,
		Server: pathsJSON(n.Server), Client: pathsJSON(n.Client),
		Programs: []jsonProgram{}, Processes: append([]int{}, n.Processes...), IPCPs: []jsonBound{}, Registered: []jsonRegistration{},
	}
	for _, b := range n.Programs {
		out.Programs = append(out.Programs, programJSON(b))
	}
	for _, p := range n.IPCPs {
		out.IPCPs = append(out.IPCPs, jsonBound{p.ID, p.Name})
	}
	for _, r := range n.Registered {
		out.Registered = append(out.Registered, jsonRegistration{r.IPCP, r.Name, r.Hash.Hex()})
	}
	return out
}

func namesJSON(list []irm.NameInfo) []jsonName {
	out := make([]jsonName, len(list))
	for i, n := range list {
		out[i] = nameJSON(n)
	}
	return out
}

type jsonProcess struct {
	PID     int      `json:"pid"`
	Program string   `json:"program"`
	UID     uint32   `json:"uid"`
	Names   []string `json:"names"`
	Accepts int      `json:"accepts"`
	Flows   int      `json:"flows"`
}

func processesJSON(list []irm.ProcessInfo) []jsonProcess {
	out := make([]jsonProcess, len(list))
	for i, p := range list {
		out[i] = jsonProcess{p.PID, p.Program, p.UID, append([]string{}, p.Names...), p.Accepts, p.Flows}
	}
	return out
}

type jsonProgramList struct {
	Program  string        `json:"program"`
	Bindings []jsonProgram `json:"bindings"`
}

func programsJSON(list []irm.ProgramInfo) []jsonProgramList {
	out := make([]jsonProgramList, len(list))
	for i, p := range list {
		out[i] = jsonProgramList{p.Program, []jsonProgram{}}
		for _, b := range p.Bindings {
			out[i].Bindings = append(out[i].Bindings, programJSON(b))
		}
	}
	return out
}

type jsonFlow struct {
	ID     int    `json:"id"`
	Name   string `json:"name"`
	PID    int    `json:"pid"`
	UID    uint32 `json:"uid"`
	User   int    `json:"user_ipcp"` // id of the IPCP that uses it; 0: none does
	Server bool   `json:"server"`
	Direct bool   `json:"direct"`
	IPCP   int    `json:"ipcp"` // 0: direct
	Peer   int    `json:"peer"` // flow id of the other end of a direct flow
	State  string `json:"state"`
	QoS    string `json:"qos"`
	MPL    int64  `json:"mpl_ms"`
	MTU    int    `json:"mtu"` // bytes
	// Cipher is the name of the packet cipher, empty if the flow is not
	// encrypted, and PeerName what the certificate of the peer says.
	Cipher   string `json:"cipher"`
	PeerName string `json:"peer_name"`
}

func flowsJSON(list []irm.FlowInfo) []jsonFlow {
	out := make([]jsonFlow, len(list))
	for i, f := range list {
		out[i] = jsonFlow{f.ID, f.Name, f.PID, f.UID, f.User, f.Server, f.Direct, f.IPCP, f.Peer, f.State.String(), f.QoS.String(),
			f.MPL.Milliseconds(), f.MTU, cipher.Name(f.Cipher), f.PeerName}
	}
	return out
}

type jsonStatus struct {
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	Started   time.Time `json:"started"`
	IPCPs     int       `json:"ipcps"`
	Names     int       `json:"names"`
	Programs  int       `json:"programs"`
	Processes int       `json:"processes"`
	Flows     int       `json:"flows"`
}

func statusJSON(s Status) jsonStatus {
	return jsonStatus{s.Version, s.PID, s.Started, s.IPCPs, s.Names, s.Programs, s.Processes, s.Flows}
}
