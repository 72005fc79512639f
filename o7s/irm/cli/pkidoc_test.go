// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"o7gw/o7s/oap/encconf"
)

// TestSecurityGuide runs the commands of docs/security.md in their order, each
// once, in a directory of their own.
func TestSecurityGuide(t *testing.T) {
	text, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() + "/security"
	places := strings.NewReplacer("/etc/ouroboros/security", dir, "/tmp/for-mail", t.TempDir())
	command := regexp.MustCompile("(?m)^irm pki ([^#\n]+)|`irm pki ([^`]+)`")
	ran := 0
	for _, m := range command.FindAllStringSubmatch(string(text), -1) {
		words := strings.Fields(places.Replace(m[1] + m[2]))
		if len(words) < 2 && words[0] != "ca" {
			continue // the mere name of a command
		}
		if words[0] != "show" && !strings.Contains(m[1]+m[2], " dir ") {
			words = append(words, "dir", dir)
		}
		if (words[0] == "ca" || words[0] == "issue") && strings.Contains(m[1]+m[2], " alg ") {
			words = append(words, "force") // the guide shows another choice for the same name
		}
		pkiRun(t, words...)
		ran++
	}
	if ran < 8 {
		t.Errorf("found %d commands only", ran)
	}
	_, conf, _ := strings.Cut(string(text), "```\n#")
	conf, _, _ = strings.Cut("#"+conf, "```")
	if c, err := encconf.Parse([]byte(conf)); err != nil || !c.RequireEncryption || !c.RequireAuthentication {
		t.Errorf("its enc.conf: %+v, %v\n%s", c, err, conf)
	}
}
