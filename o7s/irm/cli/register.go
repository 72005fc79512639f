// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"slices"

	"o7gw/o7s/irm"
)

// maxTargets bounds the IPCPs, and the layers, of one registration.
const maxTargets = 128

func (c *call) nameRegister(args []string) error {
	name, list, err := c.registrars(args)
	if err != nil {
		return err
	}
	if _, known, err := c.named(name); err != nil {
		return err
	} else if !known && len(list) > 0 {
		n := irm.NameInfo{Name: name, Policy: irm.Spillover}
		if err := c.client.CreateName(c.ctx, n); err != nil {
			return refused(err)
		}
	}
	for _, p := range list {
		if err := c.client.Register(c.ctx, name, p.ID); err != nil {
			return failf("Failed to register with %s\n%w", p.Name, refusedFor(p.Name, err))
		}
	}
	return nil
}

func (c *call) nameUnregister(args []string) error {
	name, list, err := c.registrars(args)
	if err != nil {
		return err
	}
	if _, known, err := c.named(name); err != nil {
		return err
	} else if !known {
		return failf(`There is no name "%s", see "irm name list".`, name)
	}
	for _, p := range list {
		if err := c.client.Unregister(c.ctx, name, p.ID); err != nil {
			return failf("Failed to unregister from %s\n%w", p.Name, refusedFor(p.Name, err))
		}
	}
	return nil
}

// registrars reads a name and returns the IPCPs that fit the patterns behind
// it. That none fits is no error, as scripts know it, but is told.
func (c *call) registrars(args []string) (name string, list []irm.IPCPInfo, err error) {
	if len(args) == 0 || args[0] == "" {
		return "", nil, c.misuse("The name is missing.")
	}
	if name = args[0]; len(name) > maxName {
		return "", nil, failf("Name too long.")
	}
	w, err := c.scan(args[1:], values("layer", "ipcp"))
	if err != nil {
		return "", nil, err
	}
	if !w.has("layer") && !w.has("ipcp") {
		return "", nil, c.misuse("An ipcp or a layer is needed.")
	}
	for _, key := range []string{"layer", "ipcp"} {
		if len(w[key]) > maxTargets {
			return "", nil, failf("Too many of %s: %d are the most.", key, maxTargets)
		}
	}
	list, err = c.listIPCPs(func(p irm.IPCPInfo) bool {
		fits := func(text string) func(string) bool {
			return func(pattern string) bool { return wild(pattern, text) }
		}
		return p.Layer != "" && slices.ContainsFunc(w["layer"], fits(p.Layer)) ||
			slices.ContainsFunc(w["ipcp"], fits(p.Name))
	})
	if err == nil && len(list) == 0 {
		c.warn(`No IPCP matches, nothing done; see "irm ipcp list".`)
	}
	return name, list, err
}

// named returns what the daemon knows of a name.
func (c *call) named(name string) (n irm.NameInfo, known bool, err error) {
	list, _, err := c.listNames(func(n irm.NameInfo) bool { return n.Name == name })
	if err != nil || len(list) == 0 {
		return n, false, err
	}
	return list[0], true, nil
}
