// SPDX-License-Identifier: BSD-3-Clause

// Package capture gives the tests of layers on top of shims what C nodes said
// to each other: recorded sessions of a unicast and of a broadcast layer over
// eth-dix and udp4 (spec 10 §2, §3 for the frames below the flows).
//
// Start with Load, which returns the flows of a recording with their packets;
// Flow.Kind says what runs on one, Flow.Payload is what follows the two CEP
// messages at its beginning, and Flow.PDUs takes data transfer packets apart:
// EID 0 is the flow allocator, EID 1 the directory, others are user flows.
//
//	flows, err := capture.Load("line-eth1.pcap")
//	for _, f := range flows {
//		if f.Kind == capture.DataTransfer {
//			for _, p := range f.PDUs() { … p.Dst, p.EID, p.Payload … }
//		}
//	}
//
// The recordings, one link each:
//
//	uni-udp4.pcap                  two members over udp4
//	uni-dix.pcap                   the same over eth-dix
//	uni-dix-data.pcap              with a reliable user flow
//	uni-dix-sha384-ecmp-nocc.pcap  SHA3-384, TTL 16, ECMP, no congestion avoidance
//	line-eth1.pcap, line-eth2.pcap the links A-B and B-C of three members in a line,
//	                               on one clock: B forwards between them
//	bc-eth1.pcap                   link A-B of a broadcast layer A-B-C
//
// Only tests import this package.
package capture

import (
	"embed"
	"encoding/binary"
	"fmt"
	"io/fs"
	"time"
)

//go:embed testdata/*.pcap
var files embed.FS

// Frame is one captured Ethernet frame.
type Frame struct {
	Time time.Time // µs resolution
	Data []byte    // from the destination address on, without checksum
}

// Names returns the names of the recordings, sorted.
func Names() []string {
	entries, err := files.ReadDir("testdata")
	if err != nil {
		panic(err) // embedded: cannot be missing
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Open returns the frames of a recording, a name of Names, in order of time.
func Open(name string) ([]Frame, error) {
	b, err := fs.ReadFile(files, "testdata/"+name)
	if err != nil {
		return nil, fmt.Errorf("open capture: %w", err)
	}
	frames, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("open capture %s: %w", name, err)
	}
	return frames, nil
}

// Load returns the flows of a recording: Open and Flows in one.
func Load(name string) ([]*Flow, error) {
	frames, err := Open(name)
	if err != nil {
		return nil, err
	}
	return Flows(frames), nil
}

// The pcap file format: a header, then records, little-endian here.
const (
	fileHeader   = 24
	recordHeader = 16
	magicMicros  = 0xa1b2c3d4
	linkEthernet = 1
)

// parse reads a pcap file. Frames are part of b.
func parse(b []byte) ([]Frame, error) {
	le := binary.LittleEndian
	if len(b) < fileHeader || le.Uint32(b) != magicMicros || le.Uint32(b[20:]) != linkEthernet {
		return nil, fmt.Errorf("no little-endian pcap file of Ethernet frames in µs")
	}
	var frames []Frame
	for b = b[fileHeader:]; len(b) > 0; {
		if len(b) < recordHeader {
			return nil, fmt.Errorf("record %d: header cut off", len(frames))
		}
		n, whole := uint64(le.Uint32(b[8:])), uint64(le.Uint32(b[12:]))
		if n != whole || n > uint64(len(b)-recordHeader) {
			return nil, fmt.Errorf("record %d: frame cut off", len(frames))
		}
		t := time.Unix(int64(le.Uint32(b)), int64(le.Uint32(b[4:]))*1000).UTC()
		b = b[recordHeader:]
		frames = append(frames, Frame{t, b[:n:n]})
		b = b[n:]
	}
	return frames, nil
}
