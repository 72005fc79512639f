// SPDX-License-Identifier: BSD-3-Clause

// Package config reads the TOML file of a gateway (DESIGN §6): the node that it
// embeds, or the daemon that it uses, and its tunnels.
//
// Start with Load. Every mistake in a file is an error with file, line, column
// and key (*config.Error of o7s/irm/config), unknown keys too. Keys documents
// each key; Sample writes a commented file.
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"o7gw/gateway/tunnel"
	node "o7gw/o7s/irm/config"
	"o7gw/o7s/security/layout"
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
	Tunnels  []tunnel.Config
}

// document is the file as the decoder sees it.
type document struct {
	node.Tables
	IRMd     bool          `toml:"irmd"`
	RunDir   string        `toml:"run_dir"`
	Security string        `toml:"security_dir"`
	Tunnel   []tunnelTable `toml:"tunnel"`
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
	f := &File{Filename: filename, IRMd: doc.IRMd, RunDir: doc.RunDir, Security: doc.Security}
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
	for i := range doc.Tunnel {
		f.Tunnels = append(f.Tunnels, c.tunnel(i, &doc.Tunnel[i]))
	}
	if f.IRMd && len(f.Node.IPCPs)+len(f.Node.Names) > 0 {
		c.errorf(place{line: 1, column: 1}, "irmd", "the daemon has a configuration of its own: with irmd = true this file may hold no tables of a node")
	}
	if len(f.Tunnels) == 0 {
		c.errorf(place{line: 1, column: 1}, "tunnel", "the file has no [[tunnel]]: the gateway would have nothing to do")
	}
	return f, errors.Join(c.errs...)
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

// Find returns the tunnel of a name.
func (f *File) Find(name string) (tunnel.Config, bool) {
	i := slices.IndexFunc(f.Tunnels, func(t tunnel.Config) bool { return t.Name == name })
	if i < 0 {
		return tunnel.Config{}, false
	}
	return f.Tunnels[i], true
}
