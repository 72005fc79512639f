// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"io"
	"strings"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/sign/slhdsa"
)

// DefaultAlgorithm is what every peer understands.
const DefaultAlgorithm = "p256"

// algorithm is a kind of key that this package can make.
type algorithm struct {
	name     string // as users write it
	generate func(io.Reader) (crypto.Signer, error)
}

var algorithms = makeAlgorithms()

func makeAlgorithms() []algorithm {
	list := []algorithm{
		{"p256", curve(elliptic.P256())}, {"p384", curve(elliptic.P384())}, {"p521", curve(elliptic.P521())},
		{"ed25519", func(random io.Reader) (crypto.Signer, error) {
			_, key, err := ed25519.GenerateKey(random)
			return key, err
		}},
		{"rsa2048", modulus(2048)}, {"rsa3072", modulus(3072)}, {"rsa4096", modulus(4096)},
	}
	for _, p := range mldsaParameters() {
		list = append(list, algorithm{strings.ToLower(p.String()), func(random io.Reader) (crypto.Signer, error) {
			seed := make([]byte, mldsa.PrivateKeySize)
			if _, err := io.ReadFull(random, seed); err != nil {
				return nil, err
			}
			return mldsa.NewPrivateKey(p, seed)
		}})
	}
	for _, id := range slhdsaIDs {
		list = append(list, algorithm{strings.ToLower(id.String()), func(random io.Reader) (crypto.Signer, error) {
			_, key, err := slhdsa.GenerateKey(random, id)
			return key, err
		}})
	}
	return list
}

func curve(c elliptic.Curve) func(io.Reader) (crypto.Signer, error) {
	return func(random io.Reader) (crypto.Signer, error) { return ecdsa.GenerateKey(c, random) }
}

func modulus(bits int) func(io.Reader) (crypto.Signer, error) {
	return func(random io.Reader) (crypto.Signer, error) { return rsa.GenerateKey(random, bits) }
}

// Algorithms returns the names that GenerateKey knows.
func Algorithms() []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = a.name
	}
	return names
}

// GenerateKey makes a private key, such as "p256" or "ml-dsa-65".
func GenerateKey(random io.Reader, name string) (crypto.Signer, error) {
	for _, a := range algorithms {
		if a.name != strings.ToLower(name) {
			continue
		}
		key, err := a.generate(random)
		if err != nil {
			return nil, fmt.Errorf("generate %s key: %w", a.name, err)
		}
		return key, nil
	}
	return nil, fmt.Errorf("generate key: %q is not known; possible: %s", name, strings.Join(Algorithms(), ", "))
}

// AlgorithmOf names the kind of a public key like GenerateKey does.
func AlgorithmOf(pub crypto.PublicKey) string {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa%d", pub.N.BitLen())
	case *ecdsa.PublicKey:
		return strings.ToLower(strings.ReplaceAll(pub.Curve.Params().Name, "-", ""))
	case ed25519.PublicKey:
		return "ed25519"
	case *mldsa.PublicKey:
		return strings.ToLower(pub.Parameters().String())
	case slhdsa.PublicKey:
		return strings.ToLower(pub.ID.String())
	}
	return fmt.Sprintf("%T", pub)
}
