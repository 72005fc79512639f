// SPDX-License-Identifier: BSD-3-Clause

// Package o7gw_test enforces the rules of the repository (DESIGN §2 and §10)
// that a compiler does not: which way imports point, what every package and
// file carries, how code is formatted.
package o7gw_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "o7gw"

// pkg is what `go list -e -json` tells of a package.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,GoFiles,Imports", "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
}

// rule says what packages of a part may not import. Patterns are relative to
// the module, or whole import paths; a trailing /** means the package itself and all
// below it.
type rule struct {
	who    string
	except []string // packages of ours that stay allowed
	never  []string
	why    string
}

// outside are packages that touch the world. A protocol is a state machine that
// does not.
var outside = []string{
	"net", "net/http/**", "os/**", "syscall", "golang.org/x/sys/**", "log/**", "io/ioutil",
	"github.com/vishvananda/**",
}

// protocol returns the rule of a package that is a pure state machine.
func protocol(name string) rule {
	return rule{
		who:   name,
		never: append([]string{"o7s/ipcp/**", "o7s/irm/**", "o7s/node/**", "o7s/ring/**", "o7s"}, outside...),
		why:   "a protocol is a state machine without I/O and knows no IPCP (DESIGN §5)",
	}
}

var rules = []rule{
	{who: "**", never: []string{"cmd/**", "integration"}, why: "programs and tests are not libraries"},
	{who: "o7s/**", never: []string{"gateway/**", "netstack/**", "proxy/**", "integration/**"}, why: "the stack does not know the gateway"},
	{who: "gateway/**", never: []string{"integration/**"}, why: "the gateway does not know its tests"},
	{who: "netstack/**", except: []string{"netstack/**", "o7s/packet"}, never: []string{"**"}, why: "netstack knows nothing of Ouroboros but its buffers"},
	{who: "proxy/**", never: []string{"gateway/**", "netstack/**", "integration/**"}, why: "the gateway joins proxy and netstack"},
	{who: "o7s/packet", never: []string{"**"}, why: "buffers are the lowest package"},
	{who: "o7s/qos", never: []string{"**"}, why: "QoS is a leaf"},
	{who: "o7s/layer", except: []string{"o7s/packet", "o7s/qos"}, never: []string{"**"}, why: "the four types stand on buffers and QoS alone"},
	{who: "o7s/ipcp/**", never: []string{"o7s/irm/**", "o7s/node/**", "o7s/ring/**", "o7s"}, why: "an IPCP is driven by the IRM through interfaces"},
	{who: "o7s/irm/**", never: []string{"o7s/node/**", "o7s"}, why: "the IRM is below the application library"},
	{who: "o7s/ring/**", never: []string{"o7s/irm/**", "o7s/ipcp/**", "o7s/flow/**", "o7s"}, why: "the ring is a means of transport"},
	{who: "o7s/flow/**", never: []string{"o7s/irm/**", "o7s/ipcp/**", "o7s/node/**", "o7s"}, why: "a flow stands on a port or ring, wherever that comes from"},
	{who: "o7s/ipcp/cep/**", never: []string{"o7s/ipcp/oep/**", "o7s/ipcp/unicast/**", "o7s/ipcp/broadcast/**"}, why: "connections are the same for all who have them"},
	{who: "o7s/ipcp/oep/**", never: []string{"o7s/ipcp/unicast/**", "o7s/ipcp/broadcast/**"}, why: "enrolment is the same for all who have it"},
	protocol("o7s/oap/**"),
	protocol("o7s/frcp/**"),
	protocol("o7s/crypt/**"),
	protocol("o7s/ipcp/unicast/dht/**"),
	protocol("o7s/ipcp/unicast/linkstate/**"),
	protocol("o7s/ipcp/unicast/ca/**"),
	protocol("o7s/ipcp/unicast/pff/**"),
}

// matches reports whether the pattern covers an import path. Packages of the
// module come without its name; "**" covers those only.
func matches(pattern, importPath string) bool {
	own, ours := strings.CutPrefix(importPath, module+"/")
	if pattern == "**" {
		return ours
	}
	for _, p := range []string{own, importPath} {
		if base, tree := strings.CutSuffix(pattern, "/**"); p == base || tree && strings.HasPrefix(p, base+"/") {
			return true
		}
	}
	return false
}

func matchesAny(patterns []string, importPath string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, importPath) })
}

func TestImportDirections(t *testing.T) {
	all := packages(t)
	if len(all) < 4 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	for _, p := range all {
		for _, r := range rules {
			if !matches(r.who, p.ImportPath) {
				continue
			}
			for _, imp := range p.Imports {
				if matchesAny(r.never, imp) && !matchesAny(r.except, imp) && !subtree(r.who, imp) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imp, r.why)
				}
			}
		}
	}
}

// subtree reports whether the import stays within the part that the rule is
// about, which every rule on a tree allows.
func subtree(who, importPath string) bool {
	return who != "**" && strings.HasSuffix(who, "/**") && matches(who, importPath)
}

func TestPackageNamesAndComments(t *testing.T) {
	vague := []string{"util", "utils", "common", "helper", "helpers", "types", "manager", "misc", "base"}
	for _, p := range packages(t) {
		if slices.Contains(vague, path.Base(p.ImportPath)) {
			t.Errorf("%s: the name says nothing; use the field's own term", p.ImportPath)
		}
		if len(p.GoFiles) == 0 { // tests only
			continue
		}
		var doc string
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if ast.IsGenerated(file) || file.Doc == nil {
				continue
			}
			if doc != "" {
				t.Errorf("%s has two package comments", p.ImportPath)
			}
			doc = file.Doc.Text()
		}
		want := "Package " + path.Base(p.ImportPath) + " "
		if strings.Contains(p.ImportPath, "/cmd/") || isMain(t, p) {
			// "Oping measures …" or "Command oping …": a sentence that names it.
			if !strings.Contains(strings.ToLower(doc), path.Base(p.ImportPath)) {
				t.Errorf("%s: no comment that says what the program does", p.ImportPath)
			}
		} else if !strings.HasPrefix(doc, want) {
			t.Errorf("%s: no package comment that begins with %q", p.ImportPath, want)
		}
	}
}

func isMain(t *testing.T, p pkg) bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, p.GoFiles[0]), nil, parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	return file.Name.Name == "main"
}

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func TestFilesCarryLicenceAndFormat(t *testing.T) {
	const spdx = "// SPDX-License-Identifier: BSD-3-Clause\n"
	seen := 0
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); file != "." && (strings.HasPrefix(name, ".") || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(file) != ".go" {
			return nil
		}
		seen++
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		// A generator writes its own first lines; the licence may follow.
		if head := src[:min(len(src), 1024)]; !bytes.HasPrefix(src, []byte(spdx)) &&
			!(generated.Match(head) && bytes.Contains(head, []byte(spdx))) {
			t.Errorf("%s does not begin with %q", file, strings.TrimSpace(spdx))
		}
		if out, err := format.Source(src); err != nil {
			t.Errorf("%s: %v", file, err)
		} else if !bytes.Equal(out, src) {
			t.Errorf("%s: run gofmt", file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 10 {
		t.Fatalf("looked at only %d files", seen)
	}
}

func TestLicence(t *testing.T) {
	text, err := os.ReadFile("LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"Redistribution and use in source and binary forms", "Neither the name", "AS IS"} {
		if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), part) {
			t.Errorf("LICENSE lacks %q: it is not the 3-clause BSD licence", part)
		}
	}
}
