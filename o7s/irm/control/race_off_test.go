// SPDX-License-Identifier: BSD-3-Clause

//go:build !race

package control

// raceEnabled tells whether the race detector is on.
const raceEnabled = false
