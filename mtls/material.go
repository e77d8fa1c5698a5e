package mtls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The names of a set's parts: keys of a Secret of type kubernetes.io/tls, and the files of a folder that it is mounted at.
const (
	CertificateName = "tls.crt" // the certificate, and after it those of intermediate authorities
	KeyName         = "tls.key"
	AuthoritiesName = "ca.crt" // authorities whose certificates are trusted: several during a rotation
)

// PEM is a set as it is stored, each part in PEM.
type PEM struct {
	Certificate, Key, Authorities []byte
}

// String keeps the key out of logs.
func (PEM) String() string { return "PEM{…}" }

// GoString keeps the key out of logs.
func (PEM) GoString() string { return "PEM{…}" }

// Material is a set that fits together. It does not change.
type Material struct {
	certificate tls.Certificate
	chain       []*x509.Certificate
	authorities *x509.CertPool
}

// Parse reads a set. Its error names the part that is missing, damaged, not of the others' kind, or of no use at the time.
func Parse(set PEM, now time.Time) (*Material, error) {
	for _, part := range []struct {
		name string
		data []byte
	}{{CertificateName, set.Certificate}, {KeyName, set.Key}, {AuthoritiesName, set.Authorities}} {
		if len(part.data) == 0 {
			return nil, fmt.Errorf("%s: missing", part.name)
		}
	}
	chain, err := ParseCertificates(set.Certificate)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", CertificateName, err)
	}
	if err := current(chain[0], now); err != nil {
		return nil, fmt.Errorf("%s: %w", CertificateName, err)
	}
	certificate, err := tls.X509KeyPair(set.Certificate, set.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", KeyName, err)
	}
	authorities, err := pool(set.Authorities, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", AuthoritiesName, err)
	}
	return &Material{certificate: certificate, chain: chain, authorities: authorities}, nil
}

// Chain is the set's own certificate and, after it, those of intermediate authorities.
func (m *Material) Chain() []*x509.Certificate { return slices.Clone(m.chain) }

// Verify says why a peer's chain, the peer's own certificate first, does not prove that the peer bears the name; nil when it
// does. The name must be among the certificate's DNS names as it is: wildcards and common names count for nothing.
func (m *Material) Verify(chain []*x509.Certificate, name string, usage x509.ExtKeyUsage, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{
		Roots: m.authorities, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	}); err != nil {
		return err
	}
	if !slices.Contains(chain[0].DNSNames, name) {
		return fmt.Errorf("certificate is for the DNS names %q, not for %q", chain[0].DNSNames, name)
	}
	return nil
}

// equal says whether two sets are the same certificate and trust the same.
func (m *Material) equal(to *Material) bool {
	return slices.EqualFunc(m.chain, to.chain, (*x509.Certificate).Equal) && m.authorities.Equal(to.authorities)
}

// ParseCertificates reads certificates in PEM, at least one. Unlike pem.Decode, which skips what it cannot read, it takes all
// of the data or none, so that a file that is half-written does not pass for a shorter one. Text between blocks is allowed.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	begun := bytes.Count(data, []byte("-----BEGIN"))
	var all []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %s where only certificates belong", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all, data = append(all, c), rest
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("holds no certificate in PEM")
	case len(all) != begun:
		return nil, fmt.Errorf("%d of its %d PEM blocks are damaged", begun-len(all), begun)
	}
	return all, nil
}

// current says why a certificate is of no use at the time.
func current(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(c.NotBefore):
		return fmt.Errorf("valid only from %s", c.NotBefore.Format(time.RFC3339))
	case now.After(c.NotAfter):
		return fmt.Errorf("expired at %s", c.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// pool holds all that may issue certificates, and some of which may do so now.
func pool(data []byte, now time.Time) (*x509.CertPool, error) {
	all, err := ParseCertificates(data)
	if err != nil {
		return nil, err
	}
	authorities, reason := x509.NewCertPool(), errors.New("holds no certificate of an authority")
	usable := false
	for _, c := range all {
		if !c.IsCA {
			continue
		}
		authorities.AddCert(c)
		if err := current(c, now); err != nil {
			reason = err
			continue
		}
		usable = true
	}
	if !usable {
		return nil, reason
	}
	return authorities, nil
}
