// SPDX-License-Identifier: BSD-3-Clause

package cli

// object is the first word of a command.
type object struct {
	name string
	ops  []operation
	// run is set for an object without operations.
	run func(*call, []string) error
	// json says that run can print JSON.
	json bool
}

// operation is the second word. run gets the words behind it, or with it if
// ownWord is set: then the operation is the first keyword.
type operation struct {
	name    string
	run     func(*call, []string) error
	ownWord bool
	json    bool
}

// objects in match order: the prototype's first, so that no abbreviation
// changes its meaning, then ours. The same holds for the operations.
var objects []object

func init() { // an initialiser would be a cycle: help looks at the table
	objects = []object{
		{name: "ipcp", ops: []operation{
			{name: "create", run: (*call).ipcpCreate},
			{name: "destroy", run: (*call).ipcpDestroy},
			{name: "bootstrap", run: (*call).ipcpBootstrap},
			{name: "enroll", run: (*call).ipcpEnroll},
			{name: "connect", run: (*call).ipcpConnect},
			{name: "disconnect", run: (*call).ipcpDisconnect},
			{name: "list", run: (*call).ipcpList, json: true},
			{name: "help", run: (*call).printUsage},
		}},
		{name: "bind", ops: []operation{
			{name: "program", run: (*call).bindProgram, ownWord: true},
			{name: "process", run: (*call).bindProcess, ownWord: true},
			{name: "ipcp", run: (*call).bindIPCP, ownWord: true},
			{name: "help", run: (*call).printUsage},
		}},
		{name: "unbind", ops: []operation{
			{name: "program", run: (*call).unbindProgram, ownWord: true},
			{name: "process", run: (*call).unbindProcess, ownWord: true},
			{name: "ipcp", run: (*call).unbindIPCP, ownWord: true},
			{name: "help", run: (*call).printUsage},
		}},
		{name: "name", ops: []operation{
			{name: "create", run: (*call).nameCreate},
			{name: "destroy", run: (*call).nameDestroy},
			{name: "register", run: (*call).nameRegister},
			{name: "unregister", run: (*call).nameUnregister},
			{name: "list", run: (*call).nameList, json: true},
			{name: "help", run: (*call).printUsage},
			{name: "show", run: (*call).nameShow, json: true},
		}},
		{name: "help", run: (*call).printUsage},
		{name: "process", ops: []operation{
			{name: "list", run: (*call).processList, json: true},
			{name: "help", run: (*call).printUsage},
		}},
		{name: "program", ops: []operation{
			{name: "list", run: (*call).programList, json: true},
			{name: "help", run: (*call).printUsage},
		}},
		{name: "flow", ops: []operation{
			{name: "list", run: (*call).flowList, json: true},
			{name: "help", run: (*call).printUsage},
		}},
		{name: "status", run: (*call).status, json: true},
		{name: "rib", run: (*call).rib, json: true},
		pkiObject,
	}
}

// run finds the command and carries it out.
func (c *call) run(args []string) error {
	if len(args) == 0 {
		if c.help {
			return c.printHelp()
		}
		return c.misuse(`No operation given, try "irm --help".`)
	}
	obj, ok := find(args[0], objects, func(o object) string { return o.name })
	if !ok {
		return failf(`"%s" is unknown, try "irm help".`, args[0])
	}
	args = args[1:]
	if obj.run != nil {
		if obj.name != "help" {
			c.command = obj.name
		}
		return c.do(obj.run, obj.json, args)
	}
	c.command = obj.name
	if len(args) == 0 {
		if c.help {
			return c.printHelp()
		}
		return c.misuse(`No operation given, try "irm %s --help".`, obj.name)
	}
	op, ok := find(args[0], obj.ops, func(o operation) string { return o.name })
	if !ok {
		return failf(`"%s" is unknown, try "irm %s help".`, args[0], obj.name)
	}
	if op.name != "help" {
		c.command += " " + op.name
	}
	if !op.ownWord {
		args = args[1:]
	}
	return c.do(op.run, op.json, args)
}

// do runs a command after a look at the options.
func (c *call) do(run func(*call, []string) error, json bool, args []string) error {
	if c.help {
		return c.printHelp()
	}
	if c.json && !json {
		return failf("irm %s: prints nothing that could be JSON.", c.command)
	}
	return run(c, args)
}

// find returns the first element whose name begins with the word.
func find[T any](word string, list []T, name func(T) string) (found T, ok bool) {
	for _, e := range list {
		if _, ok := match(word, name(e)); ok {
			return e, true
		}
	}
	return found, false
}

// printUsage is the operation help.
func (c *call) printUsage([]string) error {
	c.printf("%s", usage(c.command))
	return nil
}

// printHelp is the option --help.
func (c *call) printHelp() error {
	c.printf("%s", help(c.command))
	return nil
}
