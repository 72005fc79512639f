// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"time"

	"o7gw/o7s/layer"
)

// maxHosts is how much of a hosts file is read, in bytes: enough for a list
// of blocked domains, which some people keep there.
const maxHosts = 16 << 20

// hostsFile is a hosts(5) file in which the names are digests of service
// names as 32 hexadecimal digits (spec 10 §2.9). Other names are skipped.
type hostsFile struct {
	path  string
	names map[layer.Hash][]netip.Addr
	mtime time.Time
	size  int64
	known bool // mtime and size are those of names
}

// refresh reads the file again if it changed, and reports whether it did. A
// file that is not there is an empty one.
func (h *hostsFile) refresh() (changed bool, err error) {
	fi, err := os.Stat(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		changed = len(h.names) > 0
		*h = hostsFile{path: h.path}
		return changed, nil
	}
	if err != nil {
		return false, fmt.Errorf("hosts file: %w", err)
	}
	if h.known && fi.ModTime().Equal(h.mtime) && fi.Size() == h.size {
		return false, nil
	}
	if !fi.Mode().IsRegular() {
		return false, fmt.Errorf("hosts file %s is no regular file: %w", h.path, layer.ErrInvalid)
	}
	f, err := os.Open(h.path)
	if err != nil {
		return false, fmt.Errorf("hosts file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHosts))
	if err != nil {
		return false, fmt.Errorf("hosts file: %w", err)
	}
	*h = hostsFile{path: h.path, names: parseHosts(text), mtime: fi.ModTime(), size: fi.Size(), known: true}
	return true, nil
}

// forget makes the next refresh read the file whatever its mtime says.
func (h *hostsFile) forget() { h.known = false }

// parseHosts returns the addresses of each digest in order of appearance.
// Lines that make no sense are skipped, as the system's resolver does.
func parseHosts(text []byte) map[layer.Hash][]netip.Addr {
	names := make(map[layer.Hash][]netip.Addr)
	for line := range bytes.Lines(text) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(string(fields[0]))
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			var digest [hashLen]byte
			if len(name) != hex.EncodedLen(hashLen) {
				continue
			}
			if _, err := hex.Decode(digest[:], name); err != nil {
				continue
			}
			hash := layer.Hash(digest[:])
			if !slices.Contains(names[hash], addr) {
				names[hash] = append(names[hash], addr)
			}
		}
	}
	return names
}
