// SPDX-License-Identifier: BSD-3-Clause

//go:build !race

package bubble

const raceEnabled = false
