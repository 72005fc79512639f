// SPDX-License-Identifier: BSD-3-Clause

//go:build !race

package netstack

// RaceEnabled tells tests of memory that the race detector adds to it.
const RaceEnabled = false
