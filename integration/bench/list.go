// SPDX-License-Identifier: BSD-3-Clause

package main

// benchmarks are in the order of the table of the issues that ask for them.
var benchmarks = []benchmark{
	{"local_ping", "flood ping of 64 bytes between two local processes", "≤ 5 µs", localPing},
	{"local_pps64", "64-byte packets on one local flow, nothing lost", "≥ 3 000 000", localPPS},
	{"udp4_pps1024", "1024-byte packets on a raw flow over udp4, delivered", "≥ 400 000", udp4PPS},
	{"udp4_ping", "oping over udp4, every ms", "≤ 100 µs", udp4Ping},
	{"udp4_ping_flood", "oping -f over udp4", "≤ 80 µs", udp4PingFlood},
	{"udp4_alloc", "allocation of a flow to a remote name over udp4", "≤ 1000 µs", udp4Alloc},
	{"tunnel_tcp", "one TCP stream through the tunnel over udp4", "≥ 1.3 × wireguard-go, ≥ 0.25 × veth", tunnelTCP},
	{"tunnel_tcp_reverse", "the same in the other direction", "≥ 1.3 × wireguard-go, ≥ 0.25 × veth", tunnelTCPReverse},
	{"tunnel_ping", "ping through the tunnel", "≤ 0.9 × wireguard-go", tunnelPing},
	{"unicast_ping", "oping over unicast over eth-dix, every ms", "≤ 110 µs", overLine(2, pingsAs("unicast_ping"))},
	{"unicast_pps1024", "1024-byte packets on a raw flow over unicast over eth-dix, delivered", "≥ 300 000", overLine(2, loadAs("unicast_pps1024"))},
	{"line_ping", "the ping through a middle host", "≤ 180 µs", overLine(3, pingsAs("line_ping"))},
	{"line_pps1024", "the packets through a middle host", "≥ 200 000", overLine(3, loadAs("line_pps1024"))},
	{"tunnel_unicast_tcp", "one TCP stream through the tunnel over unicast over udp4", "≥ wireguard-go", tunnelUnicastTCP},
	{"local_reliable", "1024-byte messages on one local reliable flow", "≥ 1 000 000", localReliable},
	{"unicast_reliable", "1024-byte messages on a reliable flow over unicast over udp4", "≥ 0.6 × raw", unicastReliable},
	{"unicast_reliable_enc", "the same, encrypted with AES-256-GCM", "≥ 0.6 × plain", unicastReliableEnc},
	{"tunnel_enc_tcp", "one TCP stream through the tunnel over unicast over udp4, encrypted with AES-256-GCM", "≥ wireguard-go", tunnelEncTCP},
	{"udp4_ping_data", "oping -q data -f over udp4", "≤ raw + 15 µs", udp4PingData},
	{"alloc_rate", "flows allocated and closed over unicast over udp4", "≥ 5000", allocRate},
	{"alloc_rate_auth", "the same with certificates on both ends and X25519", "≥ 1000", allocRateAuth},
	{"proxy_tcp", "one TCP stream through intercept and expose over udp4", "≥ 0.15 × veth, > pasta, > slirp4netns", proxyTCP},
	{"proxy_tcp_reverse", "the same in the other direction", "", proxyTCPReverse},
	{"proxy_tcp_20ms", "one TCP stream through intercept and expose, with 20 ms of round trip between them", "", proxyLong},
	{"proxy_rr", "a byte there and back through the proxy, beyond what veth takes", "≤ 150 µs", proxyRR},
	{"proxy_conns", "connections through the proxy: connect, request, close", "≥ 1000", proxyConns},
	{"proxy_udp", "100 000 datagrams of 200 bytes per second through the proxy, lost", "< 0.1 %", proxyUDP},
	{"proxy_idle", "memory of an idle TCP session in each gateway, of 5000", "≤ 50 KiB", proxyIdle},
	{"flows10k", "10 000 flows open at once between two processes, all echoing", "works", flows10k},
}
