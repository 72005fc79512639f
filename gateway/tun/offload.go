// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package tun

import "o7gw/o7s/packet"

// WriteOffloaded is Write for packets that have a struct virtio_net_hdr in
// front, 10 bytes in the byte order of the machine: it tells the kernel which
// checksum to make, and at which size to split. The packets are not joined.
func (w *Writer) WriteOffloaded(pkts []*packet.Buffer) {
	defer packet.ReleaseBatch(pkts)
	w.dev.users.RLock()
	defer w.dev.users.RUnlock()
	for _, b := range pkts {
		if w.dev.gone || b.Len() < vnetLen {
			w.dropped.Add(1)
			continue
		}
		w.writes.Add(1)
		if err := w.dev.write(b.Bytes()); err != nil {
			w.dropped.Add(1)
			continue
		}
		w.packets.Add(1)
		w.bytes.Add(uint64(b.Len() - vnetLen))
	}
}
