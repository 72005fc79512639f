// SPDX-License-Identifier: BSD-3-Clause

// Package flow holds the end-to-end functions of a flow, on top of its lower
// end in this process, which is a ring or a layer's port (spec 30 §1, §2.6 to
// §2.11): blocking calls with deadlines, keepalives and the peer timeout, the
// marks down and closed, statistics.
//
// Start with New, which makes a Flow of an Attachment; a Host serves the
// flows of a process. Package o7s wraps Flow for applications.
package flow
