package extender

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/loam-storage/loam/mtls"
)

// certificates are a server's, with the authority that it trusts, and a client's of the same authority.
func certificates(t *testing.T) (server mtls.Source, client *tls.Certificate) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ca := template("authority")
	ca.IsCA, ca.DNSNames = true, nil
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	must(err)
	leaf := func(name string) (certificate, key []byte) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		der, err := x509.CreateCertificate(rand.Reader, template(name), ca, k.Public(), caKey)
		must(err)
		keyDER, err := x509.MarshalPKCS8PrivateKey(k)
		must(err)
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	}
	certificate, key := leaf("loam-scheduler-extender")
	material, err := mtls.Parse(mtls.PEM{Certificate: certificate, Key: key, Authorities: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})}, time.Now())
	must(err)
	memory := &mtls.Memory{}
	memory.Set(material)
	certificate, key = leaf("kube-scheduler")
	own, err := tls.X509KeyPair(certificate, key)
	must(err)
	return memory, &own
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
