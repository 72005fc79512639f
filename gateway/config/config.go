// SPDX-License-Identifier: BSD-3-Clause

// Package config reads the TOML file of a gateway (DESIGN §6): the node that it
// embeds, or the daemon that it uses, and its objects.
//
// Start with Load. Every mistake in a file is an error with file, line, column
// and key (*config.Error of o7s/irm/config), unknown keys too. Keys documents
// each key; Sample writes a commented file.
package config

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"o7gw/gateway/intercept"
	"o7gw/gateway/segment"
	"o7gw/gateway/tunnel"
	"o7gw/gateway/web"
	node "o7gw/o7s/irm/config"
	"o7gw/o7s/security/layout"
	"o7gw/proxy/exit"
	"o7gw/proxy/expose"
	"o7gw/proxy/forward"
	"o7gw/proxy/httpproxy"
	"o7gw/proxy/route"
	"o7gw/proxy/socks"
)

// maxSize is the largest file that Load reads, in bytes.
const maxSize = 1 << 20

// File is a configuration that was read without a mistake.
type File struct {
	Filename string
	IRMd     bool       // use the daemon of RunDir instead of an embedded node
	RunDir   string     // empty: the default one
	Security string     // security directory of the embedded node
	Node     *node.File // of the embedded node
	Grace    time.Duration

	Tunnels    []tunnel.Config
	Segments   []segment.Config
	Intercepts []intercept.Config
	Exposes    []expose.Config
	Exits      []exit.Config
	Forwards   []forward.Config
	Names      *Names // nil: none, as those below
	Socks      *socks.Config
	HTTP       *httpproxy.Config
	Web        *web.Config

	Routes []route.Exit
	QoS    []route.QoSRule
}

// DefaultZone is the zone of names where there is no [names] to say so.
const DefaultZone = "o7s"

// document is the file as the decoder sees it.
type document struct {
	node.Tables
	IRMd      bool             `toml:"irmd"`
	RunDir    string           `toml:"run_dir"`
	Security  string           `toml:"security_dir"`
	Grace     *duration        `toml:"grace"`
	Tunnel    []tunnelTable    `toml:"tunnel"`
	Segment   []segmentTable   `toml:"segment"`
	Intercept []interceptTable `toml:"intercept"`
	Names     *namesTable      `toml:"names"`
	Expose    []exposeTable    `toml:"expose"`
	Exit      []exitTable      `toml:"exit"`
	Forward   []forwardTable   `toml:"forward"`
	Socks     *socksTable      `toml:"socks"`
	HTTP      *httpTable       `toml:"http"`
	Route     []routeTable     `toml:"route"`
	QoS       []qosTable       `toml:"qos"`
	Web       *webTable        `toml:"web"`
}

// Load reads a file.
func Load(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(data, path)
}

// Parse reads a whole file; the name is for error texts. An error is a
// *config.Error of o7s/irm/config, or several joined, one per mistake.
func Parse(data []byte, filename string) (*File, error) {
	if len(data) > maxSize {
		return nil, &node.Error{File: filename, Line: 1, Column: 1, Msg: fmt.Sprintf("the file is longer than %d bytes", maxSize)}
	}
	var doc document
	dec := toml.NewDecoder(strings.NewReader(string(data))).DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return nil, located(err, filename)
	}
	f := &File{Filename: filename, IRMd: doc.IRMd, RunDir: doc.RunDir, Security: doc.Security, Grace: defaultGrace}
	if f.Security == "" {
		f.Security = layout.DefaultDir()
	}
	var err error
	if f.Node, err = node.ParseTables(data, filename); err != nil {
		return nil, err
	}
	places, err := findPlaces(data)
	if err != nil {
		return nil, located(err, filename)
	}
	c := newChecker(filename, places)
	c.objects(f, &doc)
	if f.IRMd && len(f.Node.IPCPs)+len(f.Node.Names) > 0 {
		c.errorf(place{line: 1, column: 1}, "irmd", "the daemon has a configuration of its own: with irmd = true this file may hold no tables of a node")
	}
	return f, errors.Join(c.errs...)
}

// defaultGrace is how long the end of the gateway waits for sessions.
const defaultGrace = 10 * time.Second

// objects checks the tables of the gateway, in the order in which their
// objects start.
func (c *checker) objects(f *File, doc *document) {
	(&table{checker: c, kind: "top", at: tablePlaces{at: place{1, 1}}}).duration("grace", &f.Grace, doc.Grace, 0, time.Hour)
	f.Tunnels = each(doc.Tunnel, c.tunnel)
	f.Segments = each(doc.Segment, c.segment)
	f.Exposes = each(doc.Expose, c.expose)
	f.Exits = each(doc.Exit, c.exit)
	f.Names = one(doc.Names, c.namesTable)
	f.Intercepts = each(doc.Intercept, c.intercept)
	f.Forwards = each(doc.Forward, c.forward)
	f.Socks = one(doc.Socks, c.socks)
	f.HTTP = one(doc.HTTP, c.http)
	f.Web = one(doc.Web, c.web)
	f.Routes = each(doc.Route, c.route)
	f.QoS = each(doc.QoS, c.qosRule)
	for i := range f.Exits {
		f.Exits[i].Own = f.own()
	}
	for i := range f.Intercepts {
		if f.Intercepts[i].Names && f.Names == nil {
			c.table("intercept", i).bad("names", "needs a [names] table")
		}
	}
	if f.Objects() == 0 {
		c.errorf(place{1, 1}, "", "the file has no object, such as [[tunnel]] or [[expose]]: the gateway would have nothing to do")
	}
}

// own returns the destinations that lead back into the gateway: no peer of an
// exit may reach services through them in the gateway's name.
func (f *File) own() (out []netip.Prefix) {
	if f.Names != nil {
		for _, p := range []netip.Prefix{f.Names.V4, f.Names.V6} {
			if p.IsValid() {
				out = append(out, p)
			}
		}
	}
	for i := range f.Intercepts {
		for _, p := range f.Intercepts[i].Prefixes {
			if p.Bits() > 0 {
				out = append(out, p)
			}
		}
	}
	return out
}

// Objects returns how many objects the file has.
func (f *File) Objects() int {
	n := len(f.Tunnels) + len(f.Segments) + len(f.Exposes) + len(f.Exits) + len(f.Intercepts) + len(f.Forwards)
	for _, there := range []bool{f.Names != nil, f.Socks != nil, f.HTTP != nil, f.Web != nil} {
		if there {
			n++
		}
	}
	return n
}

// each checks all tables of a kind.
func each[T, C any](tables []T, check func(int, *T) C) (out []C) {
	for i := range tables {
		out = append(out, check(i, &tables[i]))
	}
	return out
}

// one checks a table that there is at most one of.
func one[T, C any](table *T, check func(*T) *C) *C {
	if table == nil {
		return nil
	}
	return check(table)
}

// wrongType matches the library's text, which names our Go types.
var wrongType = regexp.MustCompile(`^cannot decode TOML (\S+) into struct field \S+ of type (\S+)$`)

// located turns an error of the TOML library into ours.
func located(err error, filename string) error {
	var missing *toml.StrictMissingError
	if errors.As(err, &missing) {
		var errs []error
		for i := range missing.Errors {
			e := &missing.Errors[i]
			line, column := e.Position()
			errs = append(errs, &node.Error{File: filename, Line: line, Column: column, Key: strings.Join(e.Key(), "."), Msg: "unknown key"})
		}
		return errors.Join(errs...)
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, column := decode.Position()
		return &node.Error{
			File: filename, Line: line, Column: column, Key: strings.Join(decode.Key(), "."),
			Msg: wrongType.ReplaceAllString(strings.TrimPrefix(decode.Error(), "toml: "), "must be of type $2, not $1"),
		}
	}
	return &node.Error{File: filename, Line: 1, Column: 1, Msg: strings.TrimPrefix(err.Error(), "toml: ")}
}
