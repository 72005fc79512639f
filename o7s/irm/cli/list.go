// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"slices"
	"strconv"
	"strings"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
)

// notEnrolled stands for the layer of an IPCP that is in none.
const notEnrolled = "Not enrolled."

func (c *call) ipcpList(args []string) error {
	w, err := c.scan(args, values("type", "name", "layer"))
	if err != nil {
		return err
	}
	if w.has("type") {
		if _, err := ipcp.ParseType(w.last("type")); err != nil {
			return c.misuse(`IPCP type "%s" is unknown.`, w.last("type"))
		}
	}
	total := 0
	list, err := c.listIPCPs(func(p irm.IPCPInfo) bool {
		total++
		return (!w.has("type") || w.last("type") == p.Type.String()) &&
			(!w.has("name") || wild(w.last("name"), p.Name)) &&
			(!w.has("layer") || p.Layer != "" && wild(w.last("layer"), p.Layer))
	})
	switch {
	case err != nil:
		return err
	case c.json:
		return c.printJSON(ipcpsJSON(list))
	case total == 0:
		c.printf("No IPCPs in system.\n\n")
		return nil
	case len(list) == 0:
		c.printf("No matching IPCPs in system.\n\n")
		return nil
	}
	rows := make([][]string, len(list))
	for i, p := range list {
		in := p.Layer
		if in == "" {
			in = notEnrolled
		}
		rows[i] = []string{strconv.Itoa(p.ID), p.Name, p.Type.String(), in}
	}
	printTable(c.env.Stdout, []column{{"pid", 7}, {"name", 20}, {"type", 10}, {"layer", 20}}, rows)
	c.printf("\n")
	return nil
}

// nameList filters by a beginning, or by a pattern with a *. The prototype
// wants the word list before it; we do without it too.
func (c *call) nameList(args []string) error {
	filter := ""
	switch {
	case len(args) == 1:
		filter = args[0]
	case len(args) == 2 && strings.HasPrefix("list", args[0]):
		filter = args[1]
	case len(args) > 1:
		return failf(`"%s" is unknown, try "irm name list --help".`, args[len(args)-1])
	}
	list, total, err := c.listNames(func(n irm.NameInfo) bool {
		if isWild(filter) {
			return wild(filter, n.Name)
		}
		return strings.HasPrefix(n.Name, filter)
	})
	slices.SortFunc(list, func(a, b irm.NameInfo) int { return strings.Compare(a.Name, b.Name) })
	switch {
	case err != nil:
		return err
	case c.json:
		return c.printJSON(namesJSON(list))
	case total == 0:
		c.printf("No names in system.\n\n")
		return nil
	case len(list) == 0:
		c.printf("No matching names in system.\n\n")
		return nil
	}
	rows := make([][]string, len(list))
	for i, n := range list {
		rows[i] = []string{n.Name, n.Policy.String()}
	}
	printTable(c.env.Stdout, []column{{"name", 50}, {"load-balance policy", 20}}, rows)
	return nil
}
