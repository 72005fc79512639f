// SPDX-License-Identifier: BSD-3-Clause

// Package metrics shows a gateway to Prometheus and its like: as OpenMetrics
// text where the reader asks for it, otherwise as Prometheus' older text
// format. There is:
//
//	o7gw_*        the gateway and its objects, labels kind and name
//	ouroboros_*   the embedded node, from its RIB, with names as the prototype's
//	              exporter has them (spec 50 §3.3)
//	process_*     memory, CPU and descriptors of the process
//	go_*          the Go run time
//
// The number of series depends on the configuration and on the neighbours in
// the layers, never on sessions, flows or who asks: what those do is summed up.
//
// Start with Handler.
package metrics

import (
	"bytes"
	"net/http"
	"strings"
	"sync"

	vm "github.com/VictoriaMetrics/metrics"

	"o7gw/gateway/report"
	"o7gw/o7s/rib"
)

// Types of the answers.
const (
	openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
	plainText   = "text/plain; version=0.0.4; charset=utf-8"
)

// Handler answers with the metrics of the moment. tree is the RIB of an
// embedded node, nil without one. One request at a time is worked on.
func Handler(source func() report.Report, tree *rib.Tree) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		open := wantsOpen(r.Header.Get("Accept"))
		b := text(source(), tree, open)
		h := w.Header()
		h.Set("Content-Type", plainText)
		if open {
			h.Set("Content-Type", openMetrics)
		}
		h.Add("Vary", "Accept")
		w.Write(b)
	})
}

// wantsOpen reports whether the reader takes OpenMetrics. Those that do say
// so by name and prefer it.
func wantsOpen(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		t, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(t), "application/openmetrics-text") {
			params = strings.ReplaceAll(params, " ", "")
			return !strings.Contains(params+";", "q=0;") && !strings.Contains(params+";", "q=0.0;")
		}
	}
	return false
}

func text(r report.Report, tree *rib.Tree, open bool) []byte {
	var e exposition
	gateway(&e, &r)
	embedded(&e, tree)
	if dropped := e.series - maxSeries; dropped > 0 {
		e.series = 0
		e.add("o7gw_metrics_dropped", gauge, "Samples that this answer had no room for.", float64(dropped))
	}
	var b bytes.Buffer
	e.write(&b, open)
	var process bytes.Buffer
	vm.WriteProcessMetrics(&process)
	vm.WriteFDMetrics(&process)
	// OpenMetrics has no room behind the comma.
	b.Write(bytes.ReplaceAll(process.Bytes(), []byte(`", `), []byte(`",`)))
	if open {
		b.WriteString("# EOF\n")
	}
	return b.Bytes()
}
