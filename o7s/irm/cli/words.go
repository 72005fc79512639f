// SPDX-License-Identifier: BSD-3-Clause

package cli

import "slices"

// keyword is a word that a command knows.
type keyword struct {
	name  string
	flag  bool // has no value
	exact bool // may not be shortened
	rest  bool // takes all words behind it
}

// values names keywords that have a value.
func values(names ...string) []keyword {
	kws := make([]keyword, len(names))
	for i, n := range names {
		kws[i].name = n
	}
	return kws
}

// words holds what a user gave, per keyword and in the order given.
type words map[string][]string

// has reports whether the keyword was given.
func (w words) has(name string) bool { return w[name] != nil }

// last returns the value of a keyword: a repeated one overrides.
func (w words) last(name string) string {
	if v := w[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// scan sorts the arguments of a command. Keywords come in any order; an
// earlier one in kws wins over a later one with the same beginning.
func (c *call) scan(args []string, kws []keyword) (words, error) {
	w := words{}
	for i := 0; i < len(args); i++ {
		at := slices.IndexFunc(kws, func(k keyword) bool {
			if k.exact {
				return k.name == args[i]
			}
			_, ok := match(args[i], k.name)
			return ok
		})
		if at < 0 {
			return nil, c.misuse("Unknown option: %q.", args[i])
		}
		switch k := kws[at]; {
		case k.rest:
			w[k.name] = append([]string{}, args[i+1:]...)
			return w, nil
		case k.flag:
			w[k.name] = []string{}
		case i+1 == len(args):
			return nil, c.misuse("The value of %s is missing.", k.name)
		default:
			i++
			w[k.name] = append(w[k.name], args[i])
		}
	}
	return w, nil
}
