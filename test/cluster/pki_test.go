package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestCertificatesProveUserGroupsAndAddressesToTheAuthority(t *testing.T) {
	p, err := newPKI(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// What the Node authorizer and NodeRestriction go by: user system:node:NAME in group system:nodes.
	if err := p.issue("k1", "system:node:k1", []string{"system:nodes"}, "k1", nodeAddress(1)); err != nil {
		t.Fatal(err)
	}
	c := read(t, p, "k1.crt")
	if c.Subject.CommonName != "system:node:k1" || !slices.Equal(c.Subject.Organization, []string{"system:nodes"}) {
		t.Errorf("the subject is %v", c.Subject)
	}
	roots := x509.NewCertPool()
	roots.AddCert(p.certificate)
	for _, host := range []string{"k1", nodeAddress(1)} {
		if _, err := c.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("as server %s: %v", host, err)
		}
	}
	if _, err := c.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("as client: %v", err)
	}
	if _, err := c.Verify(x509.VerifyOptions{Roots: roots, DNSName: nodeAddress(2)}); err == nil {
		t.Error("it is valid for another node's address, too")
	}
}

func TestKeysAndKubeconfigsAreForTheirOwnerAlone(t *testing.T) {
	p, err := newPKI(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.issue("admin", "admin", []string{"system:masters"}); err != nil {
		t.Fatal(err)
	}
	config, err := p.kubeconfig("outside", "admin", "127.0.0.1:1234")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(config)
	if err != nil || !strings.Contains(string(text), `server: "https://127.0.0.1:1234"`) {
		t.Errorf("%v; the kubeconfig does not name its server:\n%s", err, text)
	}
	for _, file := range []string{config, p.path("ca.key"), p.path("sa.key"), p.path("admin.key")} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", file, info.Mode(), err)
		}
	}
}

// read is a certificate that was written.
func read(t *testing.T, p *pki, name string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(p.path(name))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
