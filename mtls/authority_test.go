package mtls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// authority issues certificates for tests.
type authority struct {
	t           testing.TB
	certificate *x509.Certificate
	key         crypto.Signer
}

const (
	agent      = "loam-agent"
	controller = "loam-controller"
)

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	a.certificate, a.key = a.sign(template, nil, nil)
	return a
}

// leaf is for one DNS name, for both usages, and valid for an hour, unless change says otherwise.
func (a *authority) leaf(name string, change ...func(*x509.Certificate)) PEM {
	a.t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	for _, c := range change {
		c(template)
	}
	c, key := a.sign(template, a.certificate, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return PEM{
		Certificate: encoded(c), Authorities: encoded(a.certificate),
		Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}
}

// sign makes a key and a certificate of it; one that signs itself where there is no parent.
func (a *authority) sign(template, parent *x509.Certificate, signer crypto.Signer) (*x509.Certificate, crypto.Signer) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if parent == nil {
		parent, signer = template, key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return c, key
}

func encoded(all ...*x509.Certificate) []byte {
	var data []byte
	for _, c := range all {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return data
}

func expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
}

func notYet(c *x509.Certificate) {
	c.NotBefore = time.Now().Add(time.Minute)
}

func only(usage x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{usage} }
}

// trusting is the set with other authorities in ca.crt.
func (p PEM) trusting(all ...*authority) PEM {
	p.Authorities = nil
	for _, a := range all {
		p.Authorities = append(p.Authorities, encoded(a.certificate)...)
	}
	return p
}

// holding is a source of the set, whether or not it is of use at present.
func holding(t testing.TB, set PEM) *Memory {
	t.Helper()
	chain, err := ParseCertificates(set.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	material, err := Parse(set, chain[0].NotBefore.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	m := &Memory{}
	m.Set(material)
	return m
}
