// SPDX-License-Identifier: BSD-3-Clause

package cep

import (
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
)

// FlowOf returns the flow below a connection.
func FlowOf(c *Conn) ipcp.Flow { return c.flow }

// NewOn returns a connection that nobody manages on a flow.
func NewOn(f ipcp.Flow) *Conn { return newConn(f, "", func(*Conn) {}) }

// Bare returns a connection behind its messages, without a flow, and what
// feeds it.
func Bare() (*Conn, layer.Receiver) {
	c := &Conn{phase: running}
	return c, (*below)(c)
}
