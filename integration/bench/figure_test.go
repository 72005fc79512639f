// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"testing"
)

func TestFigure(t *testing.T) {
	f := newFigure("tunnel_tcp", "Gbit/s", []float64{4, 1, 3}, map[string][]float64{"veth": {11, 13}})
	var out bytes.Buffer
	f.printJSON(&out)
	const want = `{"name":"tunnel_tcp","value":3,"unit":"Gbit/s","min":1,"max":4,"runs":3,"ratios":{"veth":0.25}}` + "\n"
	if out.String() != want {
		t.Errorf("got %s", out.String())
	}
}

func TestChoose(t *testing.T) {
	got, err := choose("udp4_ping,local_ping")
	if err != nil || len(got) != 2 || got[0].name != "udp4_ping" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := choose("nosuch"); err == nil {
		t.Error("an unknown name was taken")
	}
}
