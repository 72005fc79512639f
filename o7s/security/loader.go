// SPDX-License-Identifier: BSD-3-Clause

// Package security finds the files that protect the flows of a name (spec 30
// §6.10): certificate and private key, enc.conf, static KEM keys and the trust
// store, all below one directory:
//
//	cacert/            certificates of CAs, one per file
//	untrusted/         intermediate certificates, one per file
//	server/<name>/     crt.pem key.pem enc.conf kex.key.pem or .raw
//	client/<name>/     crt.pem key.pem enc.conf kex.srv.pub.pem or .raw
//
// Files are looked at for every flow, so changes need no restart. What has not
// changed is not read again: a look-up costs a few calls of stat. A file that is
// there and of no use makes the flow fail; it never becomes a plain one.
//
// Start with NewLoader.
package security

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap"
	"o7gw/o7s/oap/encconf"
	"o7gw/o7s/security/layout"
)

// Paths are the files of one side of a name; an empty one is that in the
// directory of the name. A file that is named here must exist.
type Paths struct{ Enc, Cert, Key string }

// Require is what flows of a name must have, in addition to what enc.conf
// requires.
type Require struct{ Encryption, Authentication bool }

// Loader makes policies from files. Any number of goroutines may use it.
type Loader struct {
	dir string
	log *slog.Logger

	mu     sync.Mutex // guards all below, never held while a file is read
	files  map[string]cachedFile
	creds  map[[2]string]cachedCredentials
	warned map[string]bool // of private keys

	trust trustStore
}

// NewLoader returns a loader for a security directory, which need not exist.
// Without a directory nothing is ever loaded. The log may be nil.
func NewLoader(dir string, log *slog.Logger) *Loader {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Loader{
		dir: dir, log: log,
		files: map[string]cachedFile{}, creds: map[[2]string]cachedCredentials{}, warned: map[string]bool{},
		trust: trustStore{dir: dir, log: log},
	}
}

// Client returns how to protect flows to a name; nil if nothing is configured.
// An error wraps layer.ErrAuth or layer.ErrCrypt.
func (l *Loader) Client(name string, p Paths, r Require) (*oap.Policy, error) {
	return l.policy(side{layout.Client, layout.ClientKEM, false}, name, p, r)
}

// Server is Client for the flows that are accepted for a name.
func (l *Loader) Server(name string, p Paths, r Require) (*oap.Policy, error) {
	return l.policy(side{layout.Server, layout.ServerKEM, true}, name, p, r)
}

// side is what differs between the two ends of a flow.
type side struct {
	dir, kem string
	server   bool
}

var errOff = errors.New("files are given for it, and this node has no security directory")

func (l *Loader) policy(s side, name string, p Paths, r Require) (*oap.Policy, error) {
	if l.dir == "" {
		switch {
		case p != Paths{}:
			return nil, refuse(s, name, layer.ErrAuth, errOff)
		case r == Require{}:
			return nil, nil
		}
		return &oap.Policy{Name: name, RequireEncryption: r.Encryption, RequireAuthentication: r.Authentication}, nil
	}
	pol := oap.Policy{Name: name, RequireEncryption: r.Encryption, RequireAuthentication: r.Authentication}
	home, _ := layout.Dir(l.dir, s.dir, name) // "": the name cannot have one
	any := there(l.dir)
	if any {
		pol.Store = l.trust.current()
	}
	if p == (Paths{}) && (!any || home != "" && !there(home)) {
		home = "" // most names have no files at all
	}
	var err error
	if pol.Creds, err = l.credentials(at(home, p.Cert, layout.Cert), at(home, p.Key, layout.Key)); err != nil {
		return nil, refuse(s, name, layer.ErrAuth, err)
	}
	if pol.Enc, err = l.enc(at(home, p.Enc, layout.Enc)); err != nil {
		return nil, refuse(s, name, layer.ErrCrypt, err)
	}
	if kemKeyNeeded(s, pol.Enc) {
		file := s.kem + ".pem"
		if pol.Enc.Kex.Hybrid() {
			file = s.kem + ".raw"
		}
		if pol.KEMKey, err = l.kemKey(at(home, "", file), s.server); err != nil {
			return nil, refuse(s, name, layer.ErrCrypt, err)
		}
	}
	if pol.Creds == nil && pol.Enc == nil && pol.Store == nil && r == (Require{}) {
		return nil, nil
	}
	return &pol, nil
}

// kemKeyNeeded reports whether a static key can play a part. A server has no
// say in that: its clients choose.
func kemKeyNeeded(s side, enc *encconf.Config) bool {
	return enc != nil && enc.Kex.KEM() && (s.server || enc.ClientEncap)
}

func refuse(s side, name string, code layer.Errno, err error) error {
	return fmt.Errorf("load security files of %s %q: %w: %w", s.dir, name, code, err)
}

// place is where a file may be; the zero value is nowhere.
type place struct {
	path string
	must bool // somebody named it
}

func at(home, given, file string) place {
	switch {
	case given != "":
		return place{given, true}
	case home == "":
		return place{}
	}
	return place{home + "/" + file, false}
}
