// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Throughput is what iperf3 measured at the receiver.
type Throughput struct {
	Bytes       float64
	BPS         float64 `json:"bits_per_second"`
	LostPercent float64 `json:"lost_percent"` // of UDP packets
}

// Iperf runs one stream of iperf3 from a host to an address of another, for
// some seconds; args are further options such as -R and -u.
func Iperf(ctx context.Context, from, to *Host, addr netip.Addr, seconds int, args ...string) (Throughput, error) {
	return IperfVia(ctx, nil, from, to, addr, seconds, args...)
}

// IperfVia is Iperf with a client that the command via runs, which is put in
// front of it.
func IperfVia(ctx context.Context, via []string, from, to *Host, addr netip.Addr, seconds int, args ...string) (Throughput, error) {
	var r struct {
		End struct {
			Received Throughput `json:"sum_received"`
		}
		Error string
	}
	// A server for each run: one that has just ended a test may reset the
	// connection of the next.
	server, err := to.Start(exec.Command("iperf3", "-s", "-1", "--forceflush"))
	if err != nil {
		return r.End.Received, err
	}
	defer server.Kill()
	if err := server.WaitFor(ctx, "listening"); err != nil {
		return r.End.Received, err
	}
	cmd := append(slices.Clone(via), "iperf3", "-c", addr.String(), "-t", strconv.Itoa(seconds), "-J")
	cmd = append(cmd, args...)
	out, err := from.Run(ctx, cmd[0], cmd[1:]...)
	if err != nil {
		return r.End.Received, fmt.Errorf("%w\n%s", err, out)
	}
	// Before and behind it stands what via prints.
	if err := json.NewDecoder(strings.NewReader(out[max(0, strings.IndexByte(out, '{')):])).Decode(&r); err != nil {
		return r.End.Received, fmt.Errorf("output of iperf3: %w\n%s", err, out)
	}
	if r.Error != "" || r.End.Received.Bytes == 0 {
		return r.End.Received, fmt.Errorf("iperf3: nothing arrived: %s", out)
	}
	return r.End.Received, nil
}
