// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"reflect"
	"strings"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/layer"
	"o7gw/o7s/rib"
)

const (
	// maxNodes is how many nodes of the RIB one request gets.
	maxNodes = 1 << 17
	// maxText is the longest label or value in bytes; what is longer is cut.
	maxText = 4096
	// fieldBytes is where an element of a long entry ends.
	fieldBytes = 8 << 10
)

// ReadRIB returns what the daemon publishes at a path of its RIB: of an entry,
// it; of a directory, first it and then what stands in it, without content, or,
// with everything, all that is below it.
func (c *Client) ReadRIB(ctx context.Context, path string, everything bool) ([]rib.Node, error) {
	op := &irmpb.Request_ReadRib{ReadRib: &irmpb.RIB{Path: []byte(path), Everything: everything}}
	replies, err := c.do(ctx, &irmpb.Request{Op: op})
	return nodesOf(replies), err
}

func nodesOf(replies []*irmpb.Reply) []rib.Node {
	var list []rib.Node
	for _, r := range replies {
		for _, p := range r.GetNodes() {
			last := len(list) - 1
			if last < 0 || list[last].Path != string(p.GetPath()) {
				list = append(list, rib.Node{Path: string(p.GetPath()), Dir: p.GetDir(), Entry: rib.Entry{
					LabelWidth: width(p.GetLabelWidth()), ValueWidth: width(p.GetValueWidth()),
				}})
				last++
			}
			for _, f := range p.GetFields() {
				list[last].Entry.Fields = append(list[last].Entry.Fields, fieldFromPB(f))
			}
		}
	}
	return list
}

// width keeps columns of a message within reason.
func width(n uint32) int { return int(min(n, 1000)) }

func fieldFromPB(p *irmpb.RIBField) rib.Field {
	f := rib.Field{Label: string(p.GetLabel())}
	switch v := p.GetValue().(type) {
	case *irmpb.RIBField_Text:
		f.Value = string(v.Text)
	case *irmpb.RIBField_Int:
		f.Value = v.Int
	case *irmpb.RIBField_Uint:
		f.Value = v.Uint
	case *irmpb.RIBField_TimeUnixNs:
		f.Value = time.Unix(0, v.TimeUnixNs).UTC()
	case *irmpb.RIBField_Flag:
		f.Value = v.Flag
	case *irmpb.RIBField_Real:
		if f.Value = v.Real; math.IsNaN(v.Real) || math.IsInf(v.Real, 0) {
			f.Value = fmt.Sprint(v.Real) // JSON has no such number
		}
	}
	return f
}

func fieldToPB(f rib.Field) *irmpb.RIBField {
	p := &irmpb.RIBField{Label: []byte(cut(f.Label))}
	switch v := f.Value.(type) {
	case nil:
		return p
	case string:
		p.Value = &irmpb.RIBField_Text{Text: []byte(cut(v))}
		return p
	case time.Time:
		p.Value = &irmpb.RIBField_TimeUnixNs{TimeUnixNs: v.UnixNano()}
		return p
	case bool:
		p.Value = &irmpb.RIBField_Flag{Flag: v}
		return p
	}
	switch v := reflect.ValueOf(f.Value); {
	case v.CanInt():
		p.Value = &irmpb.RIBField_Int{Int: v.Int()}
	case v.CanUint():
		p.Value = &irmpb.RIBField_Uint{Uint: v.Uint()}
	case v.CanFloat():
		p.Value = &irmpb.RIBField_Real{Real: v.Float()}
	default:
		p.Value = &irmpb.RIBField_Text{Text: []byte(cut(fmt.Sprint(f.Value)))}
	}
	return p
}

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// readRIB answers ReadRIB. The RIB says what the lists say, and how much was
// carried; like them it is for everybody.
func (c *conn) readRIB(ctx context.Context, id uint64, r *irmpb.RIB) []*irmpb.Reply {
	tree, path := c.s.irm.RIB(), string(r.GetPath())
	var elems []*irmpb.RIBNode
	err := tree.Walk(path, func(at string, e *rib.Entry) bool {
		elems = append(elems, nodeElements(at, e)...)
		return r.GetEverything() && len(elems) < maxNodes && ctx.Err() == nil
	})
	if err == nil && !r.GetEverything() && elems[0].GetDir() {
		var items []rib.Item
		items, err = tree.List(path)
		for _, item := range items {
			at := strings.TrimPrefix(string(elems[0].GetPath())+"/"+item.Name, "/")
			elems = append(elems, &irmpb.RIBNode{Path: []byte(at), Dir: item.Dir})
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = &Error{Code: layer.Errno(syscall.ENOENT), Text: cut(err.Error())}
	case err == nil && len(elems) >= maxNodes:
		err = &Error{Code: errBusy, Text: fmt.Sprintf("read %q of the RIB: more than %d entries are below it: read a part", cut(path), maxNodes)}
	}
	if err != nil {
		return []*irmpb.Reply{refusal(id, err)}
	}
	return pages(id, elems, func(r *irmpb.Reply, e *irmpb.RIBNode) { r.Nodes = append(r.Nodes, e) })
}

// nodeElements splits an entry into elements of which each fits a page; nil is
// a directory.
func nodeElements(path string, e *rib.Entry) []*irmpb.RIBNode {
	if e == nil {
		return []*irmpb.RIBNode{{Path: []byte(path), Dir: true}}
	}
	fresh := func() *irmpb.RIBNode {
		return &irmpb.RIBNode{Path: []byte(path), LabelWidth: uint32(e.LabelWidth), ValueWidth: uint32(e.ValueWidth)}
	}
	elems := []*irmpb.RIBNode{fresh()}
	size := 0
	for _, f := range e.Fields {
		if size >= fieldBytes {
			elems = append(elems, fresh())
			size = 0
		}
		p := fieldToPB(f)
		elems[len(elems)-1].Fields = append(elems[len(elems)-1].Fields, p)
		size += proto.Size(p) + elementOverhead
	}
	return elems
}
