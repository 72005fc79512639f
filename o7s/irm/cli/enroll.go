// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"slices"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/qos"
)

func (c *call) ipcpEnroll(args []string) error {
	w, err := c.scan(args, append(values("name", "type", "layer", "dst"), keyword{name: "autobind", flag: true}))
	if err != nil {
		return err
	}
	if w.last("name") == "" || w.last("layer") == "" && w.last("dst") == "" {
		return c.misuse("The keyword name, and layer or dst, are needed.")
	}
	kind := ipcp.Unicast
	if w.has("type") {
		if kind, err = ipcp.ParseType(w.last("type")); err != nil || kind != ipcp.Unicast && kind != ipcp.Broadcast {
			return c.misuse(`IPCP type "%s" is none that enrolls.`, w.last("type"))
		}
	}
	dst := w.last("dst")
	if dst == "" {
		dst = w.last("layer")
	}
	list, err := c.ipcpsToUse(w.last("name"), func() (ipcp.Type, error) { return kind, nil })
	if err != nil {
		return err
	}
	for _, p := range list {
		if w.has("type") && p.Type != kind {
			return failf("Types do not match.\nirm: IPCP %s has type %s.", p.Name, p.Type)
		}
		info, err := c.client.Enroll(c.ctx, p.ID, dst)
		if err != nil {
			return failf("Failed to enroll IPCP.\n%w", refusedFor(p.Name, err))
		}
		if w.has("layer") && w.last("layer") != info.Layer {
			return failf("Enrollment destination does not match requested layer.\nirm: IPCP %s is in layer %s now.", p.Name, info.Layer)
		}
		if w.has("autobind") {
			if _, err := c.bindAll(p, p.Name, info.Layer); err != nil {
				return err
			}
		}
	}
	return nil
}

// componentWord has the words of the command line for components.
var componentWord = map[string]string{irm.Management: "mgmt", irm.DataTransfer: "dt"}

func (c *call) ipcpConnect(args []string) error {
	w, err := c.scan(args, values("name", "dst", "component", "qos"))
	if err != nil {
		return err
	}
	spec := qos.Raw
	if w.has("qos") {
		if q, err := qos.Parse(w.last("qos")); err == nil {
			spec = q
		} else {
			c.warn("Unknown QoS cube, defaulting to raw.")
		}
	}
	forward := func([]string) {}
	return c.eachComponent(w, forward, func(id int, dst, component string) error {
		qs := qos.Raw // management always
		if component == irm.DataTransfer {
			qs = spec
		}
		if err := c.client.Connect(c.ctx, id, dst, component, qs); err != nil {
			return refusedFor(w.last("name"), err)
		}
		return nil
	})
}

func (c *call) ipcpDisconnect(args []string) error {
	w, err := c.scan(args, values("name", "dst", "component"))
	if err != nil {
		return err
	}
	return c.eachComponent(w, slices.Reverse, func(id int, dst, component string) error {
		if err := c.client.Disconnect(c.ctx, id, dst, component); err != nil {
			return refusedFor(w.last("name"), err)
		}
		return nil
	})
}

// eachComponent calls do for each component that the IPCP has and that fits the
// keyword component, which may be a pattern. order brings them into order.
func (c *call) eachComponent(w words, order func([]string), do func(id int, dst, component string) error) error {
	if w.last("name") == "" || w.last("dst") == "" {
		return c.misuse("The keywords name and dst are needed.")
	}
	fitting := func(all []string) []string {
		return slices.DeleteFunc(all, func(component string) bool {
			return w.has("component") && !wild(w.last("component"), componentWord[component])
		})
	}
	if len(fitting(irm.Components(ipcp.Unicast))) == 0 { // which has all
		return c.misuse(`Component "%s" is unknown.`, w.last("component"))
	}
	p, err := c.ipcpNamed(w.last("name"))
	if err != nil {
		return err
	}
	chosen := fitting(irm.Components(p.Type))
	if len(chosen) == 0 {
		return failf("irm: IPCP %s: type %s has no component %s.", p.Name, p.Type, w.last("component"))
	}
	order(chosen)
	for _, component := range chosen {
		if err := do(p.ID, w.last("dst"), component); err != nil {
			return err
		}
	}
	return nil
}
