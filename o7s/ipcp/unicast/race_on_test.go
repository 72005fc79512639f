// SPDX-License-Identifier: BSD-3-Clause

//go:build race

package unicast_test

// raceDetector tells whether the race detector is built in.
const raceDetector = true
