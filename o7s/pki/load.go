// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// MaxFile is the largest file of keys, certificates or settings in bytes.
// The largest that makes sense is a SLH-DSA certificate of some 70 kB.
const MaxFile = 1 << 20

// ReadFile reads a regular file. Anything else is refused, never waited for,
// and so is a file larger than MaxFile. The FileInfo is that of what was read.
func ReadFile(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0) // a pipe without a writer would block
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(data) > MaxFile {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d bytes", MaxFile)}
	}
	return data, info, err
}

// ErrPair says that a certificate and a private key do not belong together.
var ErrPair = errors.New("the private key is not the one of the certificate")

// ParseCredentials makes credentials of two PEM files.
func ParseCredentials(certFile, keyFile []byte) (*Credentials, error) {
	cert, err := ParseCertificate(certFile)
	if err != nil {
		return nil, err
	}
	key, err := ParseKey(keyFile)
	if err != nil {
		return nil, err
	}
	pub, err := PublicKey(cert)
	switch {
	case err != nil:
		return nil, fmt.Errorf("parse certificate: %w", err)
	case !sameKey(pub, key.Public()):
		return nil, ErrPair
	}
	return &Credentials{Cert: cert.Raw, Leaf: cert, Key: key}, nil
}

// LoadCredentials reads a certificate and its private key, both PEM.
func LoadCredentials(certFile, keyFile string) (*Credentials, error) {
	cert, _, err := ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	key, _, err := ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("load private key: %w", err)
	}
	defer clear(key)
	c, err := ParseCredentials(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load %s and %s: %w", certFile, keyFile, err)
	}
	return c, nil
}

// Directories of the trust store, below the security directory.
const (
	DirCA        = "cacert"
	DirUntrusted = "untrusted"
)

// LoadStore reads the trust store of a security directory: a certificate per
// file, in cacert/ those of CAs and in untrusted/ intermediates. What in
// cacert/ is not self-signed counts as an intermediate: chains end at a
// self-signed certificate (spec 30 §6.9), and, unlike in the prototype, only
// at one in cacert/. A missing directory is an empty one. The error lists all
// files that are of no use; the store has the others and is never nil.
func LoadStore(dir string) (*Store, error) {
	trusted, err := loadCertificates(filepath.Join(dir, DirCA))
	between, err2 := loadCertificates(filepath.Join(dir, DirUntrusted))
	var roots []*x509.Certificate
	for _, c := range trusted {
		if SelfSigned(c) {
			roots = append(roots, c)
		} else {
			between = append(between, c)
		}
	}
	return NewStore(roots, between), errors.Join(err, err2)
}

func loadCertificates(dir string) (certs []*x509.Certificate, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var bad []error
	if err != nil {
		bad = append(bad, fmt.Errorf("load CA certificates: %w", err))
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		file, _, err := ReadFile(path)
		if err != nil {
			bad = append(bad, fmt.Errorf("load CA certificate: %w", err))
			continue
		}
		c, err := ParseCertificate(file)
		if err != nil {
			bad = append(bad, fmt.Errorf("load CA certificate %s: %w", path, err))
			continue
		}
		certs = append(certs, c)
	}
	return certs, errors.Join(bad...)
}
