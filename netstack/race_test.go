// SPDX-License-Identifier: BSD-3-Clause

//go:build race

package netstack_test

const raceEnabled = true
