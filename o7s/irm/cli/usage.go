// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"embed"
	"strings"
)

// usageFiles holds one text per command, word for word that of the prototype
// where it has the command, and NAME.more.txt where we have more to say.
//
//go:embed usage/*.txt
var usageFiles embed.FS

// usage returns the usage text of a command such as "ipcp create".
func usage(command string) string { return usageFile(command, "") }

// help returns the usage text with our additions, for --help.
func help(command string) string { return usage(command) + usageFile(command, ".more") }

func usageFile(command, kind string) string {
	name := "irm"
	if command != "" {
		name = strings.ReplaceAll(command, " ", "-")
	}
	text, err := usageFiles.ReadFile("usage/" + name + kind + ".txt")
	if err != nil {
		return "" // no additions; a test makes sure of the usage texts
	}
	return string(text)
}
