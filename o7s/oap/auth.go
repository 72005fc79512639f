// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"errors"
	"fmt"
	"io"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/pki"
)

// refuse makes the error of an exchange: the operation, the number for the
// peer and the check that failed.
func refuse(op string, code layer.Errno, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %w", op, code, fmt.Errorf(format, args...))
}

// sign returns the whole message, with certificate and signature if the policy
// has them. The signature covers all that is in front of it.
func (h *Header) sign(op string, p *Policy, random io.Reader) ([]byte, error) {
	if len(h.Data) > MaxData {
		return nil, refuse(op, layer.ErrCrypt, "%d bytes of data, at most %d can be sent", len(h.Data), MaxData)
	}
	if p.Creds == nil {
		return h.Append(nil), nil
	}
	if len(p.Creds.Cert) > maxField {
		return nil, refuse(op, layer.ErrAuth, "own certificate of %d bytes, at most %d can be sent", len(p.Creds.Cert), maxField)
	}
	h.Cert = p.Creds.Cert
	msg := h.Append(nil)
	sig, err := pki.Sign(random, p.Creds.Key, h.MD, msg)
	if err != nil {
		return nil, refuse(op, layer.ErrAuth, "sign with the own key: %w", err)
	}
	return append(msg, sig...), nil
}

var (
	errNoCertificate = errors.New("showed no certificate, and authentication is required (somebody on the way may have removed it)")
	errNoStore       = errors.New("showed a certificate, and there are no CA certificates to verify it with")
)

// authenticate verifies the certificate of a parsed message and its signature
// and returns the name of the sender, "" if it showed none and need not.
// Errors are to be read behind the name of a role.
func (p *Policy) authenticate(now time.Time, h *Header, msg []byte) (name string, err error) {
	switch {
	case len(h.Cert) == 0 && p.authenticationRequired():
		return "", errNoCertificate
	case len(h.Cert) == 0:
		return "", nil
	case p.Store == nil:
		return "", errNoStore
	}
	cert, err := p.Store.Verify(now, h.Cert)
	if err != nil {
		return "", fmt.Errorf("showed a certificate that does not verify: %w", err)
	}
	if err := pki.CheckSignature(cert, h.MD, msg[:len(msg)-len(h.Sig)], h.Sig); err != nil {
		return "", fmt.Errorf("signed with a wrong key, or the message was changed on its way: %w", err)
	}
	if name = pki.Name(cert); name == "" {
		return "", errors.New("showed a certificate without a common name")
	}
	return name, nil
}
