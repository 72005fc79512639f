// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"strings"

	"o7gw/o7s/rib"
)

// rib prints the daemon's statistics at a path: an entry as the prototype's
// file shows it, a directory as a list of names, or with -r all that is below
// it, each entry under its path. JSON always has all.
func (c *call) rib(args []string) error {
	recursive, path, given := false, "", false
	for _, a := range args {
		switch {
		case a == "-r" || a == "--recursive":
			recursive = true
		case strings.HasPrefix(a, "-") || given:
			return c.misuse("Unknown option: %q.", a)
		default:
			path, given = a, true
		}
	}
	client, err := c.dial()
	if err != nil {
		return err
	}
	nodes, err := client.ReadRIB(c.ctx, path, recursive || c.json)
	switch {
	case err != nil:
		return refused(err)
	case len(nodes) == 0:
		return nil
	case c.json:
		return c.printRIBJSON(nodes)
	case !nodes[0].Dir:
		c.printf("%s", nodes[0].Entry.AppendText(nil))
		return nil
	}
	for _, n := range nodes[1:] {
		switch name := printable(below(nodes[0], n)); {
		case n.Dir:
			c.printf("%s/\n", name)
		case recursive:
			c.printf("%s:\n%s\n", name, n.Entry.AppendText(nil))
		default:
			c.printf("%s\n", name)
		}
	}
	return nil
}

// below is the path of a node from a directory that it is in.
func below(dir, n rib.Node) string {
	return strings.TrimPrefix(strings.TrimPrefix(n.Path, dir.Path), "/")
}

// printRIBJSON prints an entry, or a directory as an object of what is in it.
func (c *call) printRIBJSON(nodes []rib.Node) error {
	if !nodes[0].Dir {
		return c.printJSON(nodes[0].Entry)
	}
	top := make(map[string]any)
	for _, n := range nodes[1:] {
		at := top
		names := strings.Split(below(nodes[0], n), "/")
		last := len(names) - 1
		for _, name := range names[:last] {
			next, ok := at[name].(map[string]any)
			if !ok { // it came with what is in it only
				next = make(map[string]any)
				at[name] = next
			}
			at = next
		}
		if !n.Dir {
			at[names[last]] = n.Entry
		} else if at[names[last]] == nil {
			at[names[last]] = make(map[string]any)
		}
	}
	return c.printJSON(top)
}
