package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

func TestIssuedCertificatesProveWhoIsWho(t *testing.T) {
	p, err := newPKI(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.issue("k1", "system:node:k1", []string{"system:nodes"}, "k1", "10.77.0.11"); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(p.path("k1.crt"), p.path("k1.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(p.path("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	for _, name := range []string{"k1", "10.77.0.11"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if s := pair.Leaf.Subject; s.CommonName != "system:node:k1" || len(s.Organization) != 1 || s.Organization[0] != "system:nodes" {
		t.Errorf("the subject is %v; RBAC and NodeRestriction go by it", s)
	}
	if i, err := os.Stat(p.path("k1.key")); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, %v; want 0600", i.Mode(), err)
	}
}
