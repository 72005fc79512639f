// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"context"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
)

// maxName is the longest name of anything, in bytes (spec 40 §0.1).
const maxName = 255

func (c *call) ipcpCreate(args []string) error {
	w, err := c.scan(args, values("type", "name"))
	if err != nil {
		return err
	}
	if !w.has("type") || !w.has("name") {
		return c.misuse("The keywords type and name are needed.")
	}
	kind, err := ipcp.ParseType(w.last("type"))
	if err != nil {
		return c.misuse(`IPCP type "%s" is unknown.`, w.last("type"))
	}
	_, err = c.createIPCP(kind, w.last("name"))
	return err
}

// createIPCP makes an IPCP and returns its id.
func (c *call) createIPCP(kind ipcp.Type, name string) (int, error) {
	switch {
	case name == "":
		return 0, c.misuse("IPCP name is empty.")
	case len(name) > maxName:
		return 0, failf("IPCP name too long.")
	}
	client, err := c.dial()
	if err != nil {
		return 0, err
	}
	id, err := client.CreateIPCP(c.ctx, kind, name)
	if err != nil {
		return 0, refused(err)
	}
	return id, nil
}

func (c *call) ipcpDestroy(args []string) error {
	w, err := c.scan(args, values("name"))
	if err != nil {
		return err
	}
	if !w.has("name") {
		return c.misuse("The keyword name is needed.")
	}
	p, err := c.ipcpNamed(w.last("name"))
	if err != nil {
		return err
	}
	if err := c.client.DestroyIPCP(c.ctx, p.ID); err != nil {
		return refusedFor(p.Name, err)
	}
	return nil
}

// listIPCPs asks the daemon for its IPCPs that fit.
func (c *call) listIPCPs(fits func(irm.IPCPInfo) bool) ([]irm.IPCPInfo, error) {
	client, err := c.dial()
	if err != nil {
		return nil, err
	}
	all, err := client.ListIPCPs(c.ctx)
	if err != nil {
		return nil, refused(err)
	}
	var list []irm.IPCPInfo
	for _, p := range all {
		if fits(p) {
			list = append(list, p)
		}
	}
	return list, nil
}

// ipcpNamed returns the IPCP of exactly that name.
func (c *call) ipcpNamed(name string) (irm.IPCPInfo, error) {
	list, err := c.listIPCPs(func(p irm.IPCPInfo) bool { return p.Name == name })
	if err != nil {
		return irm.IPCPInfo{}, err
	}
	if len(list) == 0 {
		return irm.IPCPInfo{}, failf(`There is no IPCP with the name "%s", see "irm ipcp list".`, name)
	}
	return list[0], nil
}

// ipcpsToUse returns the IPCPs that fit a pattern. If there is none it
// creates one, with the type that create returns.
func (c *call) ipcpsToUse(pattern string, create func() (ipcp.Type, error)) ([]irm.IPCPInfo, error) {
	list, err := c.listIPCPs(func(p irm.IPCPInfo) bool { return wild(pattern, p.Name) })
	if err != nil || len(list) > 0 {
		return list, err
	}
	if isWild(pattern) {
		return nil, failf("No IPCPs matching %s found.", pattern)
	}
	kind, err := create()
	if err != nil {
		return nil, err
	}
	id, err := c.createIPCP(kind, pattern)
	if err != nil {
		return nil, err
	}
	return []irm.IPCPInfo{{ID: id, Name: pattern, Type: kind}}, nil
}

// undoTimeout bounds what is done after a failure.
const undoTimeout = 2 * time.Second

// bindAll binds an IPCP to names, all or none. It returns what undoes it.
func (c *call) bindAll(p irm.IPCPInfo, names ...string) (undo func(), err error) {
	var bound []string
	undo = func() {
		// The command may have run out of time: that is why it is undone.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), undoTimeout)
		defer cancel()
		for _, n := range bound {
			if err := c.client.UnbindIPCP(ctx, p.ID, n); err != nil {
				c.warn("%v", refusedFor(p.Name, err))
			}
		}
	}
	for _, n := range names {
		if err := c.client.BindIPCP(c.ctx, p.ID, n); err != nil {
			undo()
			return nil, refusedFor(p.Name, err)
		}
		bound = append(bound, n)
	}
	return undo, nil
}
