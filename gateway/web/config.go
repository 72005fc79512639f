// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"errors"
	"net/netip"
	"time"
)

// Config is the configuration of a Server.
type Config struct {
	Listen netip.AddrPort
	// Token is what a reader must show; empty: nothing, on a loopback address
	// only.
	Token string
	// Hosts are names under which readers may ask for the page, beside
	// "localhost" and addresses.
	Hosts []string
}

// Defaults returns the configuration of a page for this machine.
func Defaults() Config { return Config{Listen: netip.MustParseAddrPort("127.0.0.1:8077")} }

// ErrToken is the error of a Server that everybody could read.
var ErrToken = errors.New("an address that is not loopback needs a token")

// Bounds of what readers can make the server do.
const (
	maxConns   = 64       // connections at a time, further ones wait in the kernel
	maxReaders = 16       // live streams at a time
	maxHeader  = 8 << 10  // bytes
	maxPast    = 600      // samples that plots have: 10 minutes
	maxShown   = 200      // sessions in one sample, the newest
	maxSample  = 16 << 20 // bytes of a sample as JSON; a bigger one is not sent

	sampleEvery  = time.Second
	headerLimit  = 5 * time.Second
	requestLimit = 10 * time.Second
	answerLimit  = 30 * time.Second
	idleLimit    = 60 * time.Second
	// eventLimit is how long a reader of a live stream may leave an event in
	// the kernel's buffers.
	eventLimit = 10 * time.Second
)
