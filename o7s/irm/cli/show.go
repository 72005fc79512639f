// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"fmt"
	"strings"

	"o7gw/o7s/irm"
)

// nameShow prints who serves a name and where it is registered.
func (c *call) nameShow(args []string) error {
	if len(args) != 1 {
		return c.misuse("Exactly one name is needed.")
	}
	n, known, err := c.named(args[0])
	switch {
	case err != nil:
		return err
	case !known:
		return failf(`There is no name "%s", see "irm name list".`, args[0])
	case c.json:
		return c.printJSON(nameJSON(n))
	}
	line := func(label, text string) { c.printf("%-12s %s\n", label+":", printable(text)) }
	line("name", n.Name)
	line("policy", n.Policy.String())
	line("owner", fmt.Sprintf("uid %d", n.Owner))
	for _, side := range []struct {
		label string
		irm.Protection
	}{{"server", n.Server}, {"client", n.Client}} {
		for _, f := range []struct{ kind, text string }{
			{"enc", side.Enc}, {"crt", side.Cert}, {"key", side.Key}, {"req", irm.FormatRequire(side.Require)},
		} {
			if f.text != "" {
				line(side.label+" "+f.kind, f.text)
			}
		}
	}
	for _, b := range n.Programs {
		line("program", describeProgram(b))
	}
	for _, pid := range n.Processes {
		line("process", fmt.Sprint(pid))
	}
	for _, p := range n.IPCPs {
		line("ipcp", fmt.Sprintf("%s (%d)", p.Name, p.ID))
	}
	for _, r := range n.Registered {
		line("registered", fmt.Sprintf("with IPCP %s (%d) as %s", r.Name, r.IPCP, r.Hash.Hex()))
	}
	return nil
}

// describeProgram tells the path and, for auto-start, the arguments and the
// user.
func describeProgram(b irm.ProgramBinding) string {
	if !b.Auto {
		return b.Path
	}
	words := append([]string{b.Path}, b.Args...)
	return fmt.Sprintf("%s (started on demand as uid %d)", strings.Join(words, " "), b.Creds.UID)
}
