// SPDX-License-Identifier: BSD-3-Clause

package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDashboard: the dashboard asks for metrics that there are, with labels
// that they have.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("../../configs/grafana-o7gw.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	samples := parse(t, string(text(sampleReport(), twoLayers(t).IRM().RIB(), true)), true)
	labels := map[string][]string{}
	label := regexp.MustCompile(`([a-z]+)="`)
	for s := range samples {
		name, rest, _ := strings.Cut(s, "{")
		labels[name] = append(labels[name], "instance")
		for _, m := range label.FindAllStringSubmatch(rest, -1) {
			labels[name] = append(labels[name], m[1])
		}
	}
	used := regexp.MustCompile(`\b(?:o7gw|ouroboros|process|go)_[a-z0-9_]+(?:\{[^}]*\})?`)
	check := func(where, expr, legend string) {
		found := used.FindAllString(expr, -1)
		if len(found) == 0 {
			t.Errorf("%s: no metric in %s", where, expr)
		}
		for _, m := range found {
			name, selector, _ := strings.Cut(m, "{")
			if labels[name] == nil {
				t.Errorf("%s: there is no %s", where, name)
			}
			want := label.FindAllStringSubmatch(strings.ReplaceAll(selector, "=~", "="), -1)
			want = append(want, regexp.MustCompile(`\{\{([a-z]+)\}\}`).FindAllStringSubmatch(legend, -1)...)
			for _, l := range want {
				if !slices.Contains(labels[name], l[1]) {
					t.Errorf("%s: %s has no label %s", where, name, l[1])
				}
			}
		}
	}
	panels := 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			check(p.Title, target.Expr, target.LegendFormat)
			panels++
		}
	}
	for _, v := range board.Templating.List {
		if v.Definition != "" {
			check("variable "+v.Name, v.Definition, "")
		}
	}
	if panels < 20 {
		t.Errorf("only %d queries", panels)
	}
}
