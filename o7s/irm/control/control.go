// SPDX-License-Identifier: BSD-3-Clause

// Package control puts a socket in front of an IRM (DESIGN §4, spec 40 §5):
// the server in the daemon, and the client in every application and tool.
//
// Clients start with Dial; a Client is both the backend of an o7s.Stack and
// the administrator's interface. Daemons start with Listen and Serve.
//
// The socket is <run-dir>/irm.sock, of type SOCK_SEQPACKET; a packet is one
// message of package irmpb. A connection is a process: it lasts as long as
// the process uses the IRM, requests on it are pipelined, and its end is the
// death of the process, which frees its names and flows. What a peer may do
// follows from the credentials that the kernel vouches for, never from what
// it says. Each flow comes as two descriptors of a ring (package ring): to
// another process of the machine directly, else to the daemon, which bridges
// it with the port of the layer. A ring to the daemon may serve one short flow after
// the other, see kept.go.
package control

import (
	"path/filepath"
	"time"
)

// Compatible is the version of the prototype whose layers and tools we work
// with (spec 50 §1.1).
const Compatible = "0.23.0"

// Names of files in the run directory.
const (
	socketName = "irm.sock"
	lockName   = "irmd.lock"
)

// Limits of the protocol, the same on both sides.
const (
	// MaxRequest is the longest request in bytes: room for a long argument
	// list of a program.
	MaxRequest = 32 << 10
	// MaxReply is the longest reply in bytes: the largest single element of
	// a list, which holds at most one request's worth, and its page.
	MaxReply = 80 << 10
	// pageSize is where a page of a list ends, in bytes.
	pageSize = 32 << 10
	// maxFiles is how many descriptors a reply carries at most.
	maxFiles = 2
)

// SocketPath returns the path of the control socket in a run directory.
func SocketPath(runDir string) string { return filepath.Join(runDir, socketName) }

// Status describes a running daemon.
type Status struct {
	Version   string // of the daemon
	PID       int
	Started   time.Time
	IPCPs     int
	Names     int
	Processes int
	Programs  int
	Flows     int
}
