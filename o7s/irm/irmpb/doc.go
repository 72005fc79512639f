// SPDX-License-Identifier: BSD-3-Clause

// Package irmpb holds the messages of the control protocol between the IRM
// daemon and its clients (spec 40 §5 lists what they are for; the encoding is
// our own). It is generated from irm.proto; package irm/control speaks it.
package irmpb

// The plugin: go build -o /tmp/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go
//go:generate protoc --plugin=protoc-gen-go=/tmp/protoc-gen-go --go_out=. --go_opt=paths=source_relative irm.proto
