// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// figure is one result: the median of several runs.
type figure struct {
	Name   string             `json:"name"`
	Value  float64            `json:"value"`
	Unit   string             `json:"unit"` // µs, 1/s, Gbit/s
	Min    float64            `json:"min"`
	Max    float64            `json:"max"`
	Runs   int                `json:"runs"`
	Ratios map[string]float64 `json:"ratios"` // Value divided by that of the peer
}

// newFigure takes the values of the runs, and of the runs of peers.
func newFigure(name, unit string, runs []float64, peers map[string][]float64) figure {
	f := figure{
		Name: name, Unit: unit, Runs: len(runs),
		Value: median(runs), Min: slices.Min(runs), Max: slices.Max(runs),
		Ratios: map[string]float64{},
	}
	for peer, values := range peers {
		f.Ratios[peer] = f.Value / median(values)
	}
	return f
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

func (f *figure) printJSON(w io.Writer) {
	// A value of this type encodes unless a run gave no finite number.
	line, err := json.Marshal(f)
	if err != nil {
		line = fmt.Appendf(nil, `{"name":%q,"error":%q}`, f.Name, err)
	}
	fmt.Fprintf(w, "%s\n", line)
}

const heading = "name                        value  unit            min          max  runs  ratios                                    wanted\n"

// print writes a line of the table.
func (f *figure) print(w io.Writer, want string) {
	var ratios []string
	for _, peer := range slices.Sorted(maps.Keys(f.Ratios)) {
		ratios = append(ratios, fmt.Sprintf("%.2f × %s", f.Ratios[peer], peer))
	}
	fmt.Fprintf(w, "%-20s %12.2f  %-8s %10.2f %12.2f  %4d  %-40s  %s\n",
		f.Name, f.Value, f.Unit, f.Min, f.Max, f.Runs, strings.Join(ratios, ", "), want)
}
