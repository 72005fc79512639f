// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"strconv"
	"strings"
	"time"

	"o7gw/o7s/irm"
	"o7gw/o7s/oap/cipher"
)

// noWords refuses arguments of a command that takes none.
func (c *call) noWords(args []string) error {
	if len(args) > 0 {
		return c.misuse("Unknown option: %q.", args[0])
	}
	return nil
}

func (c *call) processList(args []string) error {
	client, err := c.dialForList(args)
	if err != nil {
		return err
	}
	list, err := client.ListProcesses(c.ctx)
	switch {
	case err != nil:
		return refused(err)
	case c.json:
		return c.printJSON(processesJSON(list))
	case len(list) == 0:
		c.printf("No processes in system.\n\n")
		return nil
	}
	rows := make([][]string, len(list))
	for i, p := range list {
		rows[i] = []string{strconv.Itoa(p.PID), p.Program, strconv.FormatUint(uint64(p.UID), 10),
			strconv.Itoa(p.Accepts), strconv.Itoa(p.Flows), strings.Join(p.Names, " ")}
	}
	printTable(c.env.Stdout, []column{{"pid", 7}, {"program", 30}, {"uid", 7}, {"accepts", 7}, {"flows", 7}, {"names", 20}}, rows)
	return nil
}

func (c *call) programList(args []string) error {
	client, err := c.dialForList(args)
	if err != nil {
		return err
	}
	list, err := client.ListPrograms(c.ctx)
	switch {
	case err != nil:
		return refused(err)
	case c.json:
		return c.printJSON(programsJSON(list))
	case len(list) == 0:
		c.printf("No programs in system.\n\n")
		return nil
	}
	var rows [][]string
	for _, p := range list {
		for _, b := range p.Bindings {
			rows = append(rows, []string{p.Program, b.Name, describeProgram(b)})
		}
	}
	printTable(c.env.Stdout, []column{{"program", 20}, {"name", 20}, {"path", 40}}, rows)
	return nil
}

func (c *call) flowList(args []string) error {
	client, err := c.dialForList(args)
	if err != nil {
		return err
	}
	list, err := client.ListFlows(c.ctx)
	switch {
	case err != nil:
		return refused(err)
	case c.json:
		return c.printJSON(flowsJSON(list))
	case len(list) == 0:
		c.printf("No flows in system.\n\n")
		return nil
	}
	rows := make([][]string, len(list))
	for i, f := range list {
		role := "client"
		if f.Server {
			role = "server"
		}
		rows[i] = []string{strconv.Itoa(f.ID), f.Name, user(f), role, carrier(f), f.State.String(),
			f.QoS.String(), strconv.Itoa(f.MTU), cipherName(f), f.PeerName}
	}
	printTable(c.env.Stdout, []column{{"id", 6}, {"name", 20}, {"pid", 7}, {"role", 6}, {"via", 12}, {"state", 9}, {"qos", 5}, {"mtu", 6}, {"cipher", 17}, {"peer", 20}}, rows)
	return nil
}

// cipherName tells how the packets of a flow are encrypted.
func cipherName(f irm.FlowInfo) string {
	if f.Cipher == 0 && f.State == irm.Allocated {
		return "none"
	}
	return cipher.Name(f.Cipher)
}

// user tells who uses a flow.
func user(f irm.FlowInfo) string {
	if f.User != 0 {
		return "IPCP " + strconv.Itoa(f.User)
	}
	return strconv.Itoa(f.PID)
}

// carrier tells what carries a flow.
func carrier(f irm.FlowInfo) string {
	if f.Direct {
		return "flow " + strconv.Itoa(f.Peer)
	}
	return "IPCP " + strconv.Itoa(f.IPCP)
}

func (c *call) dialForList(args []string) (Client, error) {
	if err := c.noWords(args); err != nil {
		return nil, err
	}
	return c.dial()
}

func (c *call) status(args []string) error {
	client, err := c.dialForList(args)
	if err != nil {
		return err
	}
	s, err := client.Status(c.ctx)
	if err != nil {
		return refused(err)
	}
	if c.json {
		return c.printJSON(statusJSON(s))
	}
	c.printf("irmd %s, process %d, up %v\n", s.Version, s.PID, time.Since(s.Started).Round(time.Second))
	c.printf("%d IPCPs, %d names, %d programs, %d processes, %d flows\n", s.IPCPs, s.Names, s.Programs, s.Processes, s.Flows)
	return nil
}
