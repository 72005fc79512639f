// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"fmt"
	"strings"
	"time"
)

// options are ours: the prototype has none. They stand anywhere before a
// lone "--", which begins the arguments of a program.
type options struct {
	runDir  string
	timeout time.Duration // 0: none
	json    bool
	help    bool
}

// parseOptions takes the options out of the arguments.
func parseOptions(args []string) (o options, rest []string, err error) {
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return o, append(rest, args[i:]...), nil
		}
		name, value, inline := strings.Cut(args[i], "=")
		switch name {
		case "--json", "--help":
			if inline {
				return o, nil, fmt.Errorf("%s has no value", name)
			}
			o.json = o.json || name == "--json"
			o.help = o.help || name == "--help"
		case "--run-dir", "--timeout":
			if !inline {
				if i++; i == len(args) {
					return o, nil, fmt.Errorf("the value of %s is missing", name)
				}
				value = args[i]
			}
			if name == "--run-dir" {
				o.runDir = value
			} else if o.timeout, err = time.ParseDuration(value); err != nil || o.timeout <= 0 {
				return o, nil, fmt.Errorf("--timeout %q is not a duration such as 500ms or 10s", value)
			}
		default:
			rest = append(rest, args[i])
		}
	}
	return o, rest, nil
}
