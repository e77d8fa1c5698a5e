package certificates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/loam-storage/loam/mtls"
)

// render makes the Secret that a write asks for, of the one that is there (nil where there is none). What it does not know
// in a Secret's data does not stay; the resource version does, so that nobody else's change is written over.
func render(now time.Time, w write, have *corev1.Secret) (*corev1.Secret, error) {
	data := map[string][]byte{}
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: w.secret}, Type: corev1.SecretTypeTLS}
	if have != nil {
		s = have.DeepCopy()
		data[mtls.CertificateName], data[mtls.KeyName] = have.Data[mtls.CertificateName], have.Data[mtls.KeyName]
	}
	s.Data = data
	set(&s.Labels, labelManager, manager)
	set(&s.Labels, "app.kubernetes.io/name", "loam")
	if w.issue {
		if err := w.certify(now, data); err != nil {
			return nil, fmt.Errorf("certificate for Secret %s: %w", w.secret, err)
		}
	}
	if w.secret != AuthoritySecret {
		data[mtls.AuthoritiesName] = encode(w.authorities...)
		set(&s.Annotations, annotationSince, w.since.UTC().Format(time.RFC3339))
	}
	return s, nil
}

// certify puts a new certificate and its key into a Secret's data.
func (w write) certify(now time.Time, data map[string][]byte) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template, parent, signer := w.template(now), w.template(now), key
	if w.issuer != nil {
		parent, signer = w.issuer.certificate, w.issuer.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	data[mtls.CertificateName] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	data[mtls.KeyName] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return nil
}

// template is the certificate to be; its serial number is chosen when it is signed.
func (w write) template(now time.Time) *x509.Certificate {
	c := &x509.Certificate{NotBefore: now.Add(-clockSkew), BasicConstraintsValid: true}
	if w.issuer == nil {
		// The time tells authorities apart for those who read ca.crt.
		c.Subject = pkix.Name{CommonName: "Loam authority of " + now.UTC().Format(time.RFC3339)}
		c.NotAfter, c.IsCA, c.MaxPathLenZero = now.Add(authorityLife), true, true
		c.KeyUsage = x509.KeyUsageCertSign
		return c
	}
	c.Subject, c.DNSNames = pkix.Name{CommonName: w.name}, []string{w.name}
	c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{w.usage}
	if c.NotAfter = now.Add(leafLife); c.NotAfter.After(w.issuer.certificate.NotAfter) {
		c.NotAfter = w.issuer.certificate.NotAfter
	}
	return c
}

func encode(all ...*x509.Certificate) []byte {
	var data []byte
	for _, c := range all {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return data
}

func set(in *map[string]string, key, value string) {
	if *in == nil {
		*in = map[string]string{}
	}
	(*in)[key] = value
}
