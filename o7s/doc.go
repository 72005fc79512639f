// SPDX-License-Identifier: BSD-3-Clause

// Package o7s is the application library of Ouroboros: flows to services that
// have names instead of addresses (spec 30 §2).
//
// A Stack is the way to a resource manager: of a daemon (Connect), or of a
// node inside the program (package node). With it a client dials and a server
// listens:
//
//	stack, err := o7s.Connect(ctx, "")          stack, err := o7s.Connect(ctx, "")
//	flow, err := stack.Dial(ctx, "printer")     l, err := stack.Listen(ctx, "printer")
//	flow.Write(job)                             flow, err := l.AcceptFlow(ctx)
//
// A Flow carries packets and keeps their boundaries. There are four ways to
// use it, from the most convenient to the fastest:
//
//   - as a net.Conn (Read, Write), for code that knows only those;
//   - packet by packet (ReadPacket, WritePacket), also with a context;
//   - in batches of pooled buffers (ReadBatch, WriteBatch);
//   - pushed (Receive): the library calls, on the goroutine that has the
//     packets; nothing waits.
//
// Many flows can be waited for at once with a FlowSet.
//
// # Kinds of flows
//
// WithQoS chooses one: qos.Raw carries packets as the layer does; qos.Best, Voice
// and Video keep their order and lose what is lost; qos.Data is reliable, and a
// byte stream for who wants one: writes of any length, half-close (CloseWrite),
// and a Close that waits until everything has arrived. Encryption and
// authentication come from the configuration of the name, and Flow.Peer and
// Flow.Cipher tell of them.
//
// # End of a flow
//
// When the peer closes its end, readers get the packets that are left and then
// io.EOF. If its process dies, so they do on a flow that is not reliable; on a
// reliable one they get an error that wraps io.ErrUnexpectedEOF, as always when
// the peer ended without having said that this is all. When the daemon that
// carries the flow dies they get the loss of its connection, layer.ErrIRMd.
// When nothing arrives from the peer for the timeout of the QoS, readers and
// writers get layer.ErrFlowPeer; when the layer, or the peer, marks the flow as
// down, layer.ErrFlowDown, but reliable flows wait until it is up again. Waits that
// run out return os.ErrDeadlineExceeded, calls after Close net.ErrClosed.
// errors.Is finds them all.
package o7s
