// SPDX-License-Identifier: BSD-3-Clause

package metrics

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// kind is the type of a metric.
type kind string

const (
	counter kind = "counter" // only grows while its object lives
	gauge   kind = "gauge"
	info    kind = "info"
	unknown kind = "unknown" // a number of which the source does not say which of both it is
)

// family is a metric with all its samples. A format wants them together, so
// that they are collected before they are written.
type family struct {
	name    string // without "_total"
	kind    kind
	help    string
	samples []sample
}

type sample struct {
	labels string // `{kind="expose",name="web"}`
	value  float64
}

// exposition collects families in the order in which they first appear.
type exposition struct {
	families []*family
	at       map[string]*family
	series   int
}

// maxSeries bounds what one answer has: a gateway has some dozens of objects,
// neighbours and names. Samples beyond it are counted as dropped.
const maxSeries = 20_000

// add adds a sample; labels are names and values by turns.
func (e *exposition) add(name string, k kind, help string, value float64, labels ...string) {
	e.series++
	if e.series > maxSeries {
		return
	}
	f := e.at[name]
	if f == nil {
		if e.at == nil {
			e.at = map[string]*family{}
		}
		f = &family{name: name, kind: k, help: help}
		e.at[name] = f
		e.families = append(e.families, f)
	}
	f.samples = append(f.samples, sample{labelText(labels), value})
}

// labelText writes labels; those of the same sample in another order would be
// another one.
func labelText(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	var b strings.Builder
	sep := byte('{')
	for pair := range slices.Chunk(labels, 2) {
		b.WriteByte(sep)
		sep = ','
		b.WriteString(pair[0])
		b.WriteString(`="`)
		b.WriteString(escape(pair[1]))
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// maxLabel bounds a label's value, bytes.
const maxLabel = 256

// escape writes a label's value, which may come from the network.
func escape(s string) string {
	if len(s) > maxLabel {
		s = s[:maxLabel]
	}
	return escaper.Replace(strings.ToValidUTF8(s, string(utf8.RuneError)))
}

// write writes the families; open is the OpenMetrics format, otherwise it is
// the older text format of Prometheus.
func (e *exposition) write(b *bytes.Buffer, open bool) {
	for _, f := range e.families {
		name, suffix, k := f.name, "", f.kind
		switch {
		case k == counter:
			suffix = "_total"
		case k == info:
			suffix = "_info"
		}
		if !open {
			// There the type belongs to the sample's name, and has fewer values.
			name, suffix = name+suffix, ""
			switch k {
			case info:
				k = gauge
			case unknown:
				k = "untyped"
			}
		}
		// Help texts are ours, and have nothing to escape.
		b.WriteString("# HELP " + name + " " + f.help + "\n# TYPE " + name + " " + string(k) + "\n")
		for _, s := range f.samples {
			b.WriteString(name + suffix + s.labels + " " + strconv.FormatFloat(s.value, 'g', -1, 64) + "\n")
		}
	}
}
