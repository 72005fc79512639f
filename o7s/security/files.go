// SPDX-License-Identifier: BSD-3-Clause

package security

import (
	"errors"
	"fmt"
	"time"

	"o7gw/o7s/oap/encconf"
	"o7gw/o7s/pki"
)

// cachedFile is a file and what was made of it. Only files that exist have
// one, so names that clients invent fill nothing.
type cachedFile struct {
	stamp stamp
	value any // *encconf.Config or []byte
}

// file returns what parse makes of a file; nil if there is none.
func (l *Loader) file(p place, private bool, parse func([]byte) (any, error)) (any, error) {
	s, ok, err := lookAt(p)
	l.mu.Lock()
	known, cached := l.files[p.path]
	if cached && !ok {
		delete(l.files, p.path)
	}
	l.mu.Unlock()
	switch {
	case err != nil || !ok:
		return nil, err
	case cached && known.stamp == s:
		return known.value, nil
	}
	data, _, err := pki.ReadFile(p.path)
	if err != nil {
		return nil, err
	}
	v, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	if private {
		l.warnIfOpen(p.path, s)
	}
	// The stamp is older than the data or of the same age: a change in between
	// is seen next time.
	if s.settled() {
		l.mu.Lock()
		l.files[p.path] = cachedFile{s, v}
		l.mu.Unlock()
	}
	return v, nil
}

func (l *Loader) enc(p place) (*encconf.Config, error) {
	v, err := l.file(p, false, func(data []byte) (any, error) { return encconf.Parse(data) })
	c, _ := v.(*encconf.Config)
	return c, err
}

func (l *Loader) kemKey(p place, private bool) ([]byte, error) {
	v, err := l.file(p, private, func(data []byte) (any, error) { return data, nil })
	key, _ := v.([]byte)
	return key, err
}

// cachedCredentials are kept as a pair, since either may change.
type cachedCredentials struct {
	cert, key stamp
	creds     *pki.Credentials
}

// Renewal replaces two files, one after the other. A look in between finds a
// pair that does not match, and looks again.
const (
	pairTries = 4
	pairPause = 25 * time.Millisecond
)

// errHalf is in words since a missing file must not look like no configuration.
var errHalf = errors.New("a certificate and its private key belong together, and one of the two files is missing")

// credentials returns those in two files; nil if there are none.
func (l *Loader) credentials(cert, key place) (creds *pki.Credentials, err error) {
	for try := 1; ; try++ {
		creds, err = l.pair(cert, key)
		if try == pairTries || !errors.Is(err, errHalf) && !errors.Is(err, pki.ErrPair) {
			return creds, err
		}
		time.Sleep(pairPause)
	}
}

func (l *Loader) pair(cert, key place) (*pki.Credentials, error) {
	c, haveCert, err := lookAt(cert)
	if err != nil {
		return nil, err
	}
	k, haveKey, err := lookAt(key)
	if err != nil {
		return nil, err
	}
	id := [2]string{cert.path, key.path}
	l.mu.Lock()
	known, cached := l.creds[id]
	if cached && !(haveCert && haveKey) {
		delete(l.creds, id)
	}
	l.mu.Unlock()
	switch {
	case haveCert != haveKey:
		return nil, fmt.Errorf("%w: %s, %s", errHalf, describe(cert, haveCert), describe(key, haveKey))
	case !haveCert:
		return nil, nil
	case cached && known.cert == c && known.key == k:
		return known.creds, nil
	}
	creds, err := pki.LoadCredentials(cert.path, key.path)
	if err != nil {
		return nil, err
	}
	l.warnIfOpen(key.path, k)
	if c.settled() && k.settled() {
		l.mu.Lock()
		l.creds[id] = cachedCredentials{c, k, creds}
		l.mu.Unlock()
	}
	return creds, nil
}

func describe(p place, have bool) string {
	switch {
	case p.path == "":
		return "nowhere to look for the other"
	case have:
		return p.path + " is there"
	}
	return p.path + " is not"
}

// warnIfOpen tells once of a private key that everybody can read.
func (l *Loader) warnIfOpen(path string, s stamp) {
	if s.mode&0o007 == 0 {
		return
	}
	l.mu.Lock()
	told := l.warned[path]
	l.warned[path] = true
	l.mu.Unlock()
	if !told {
		l.log.Warn("Private key is open to every user of this machine: chmod 600 it", "file", path)
	}
}
