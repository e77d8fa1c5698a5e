package mtls

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseNamesThePartThatDoesNotFit(t *testing.T) {
	ca := newAuthority(t)
	good, other := ca.leaf(agent), ca.leaf(agent)
	longAgo := newAuthority(t)
	longAgo.certificate, _ = longAgo.sign(&x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
	}, nil, nil)
	cases := map[string]struct {
		change func(*PEM)
		want   string
	}{
		"no certificate":             {func(p *PEM) { p.Certificate = nil }, "tls.crt: missing"},
		"no key":                     {func(p *PEM) { p.Key = nil }, "tls.key: missing"},
		"no authorities":             {func(p *PEM) { p.Authorities = nil }, "ca.crt: missing"},
		"half a certificate":         {func(p *PEM) { p.Certificate = half(p.Certificate) }, "tls.crt: holds no certificate"},
		"half a key":                 {func(p *PEM) { p.Key = half(p.Key) }, "tls.key: "},
		"half the authorities":       {func(p *PEM) { p.Authorities = append(encoded(ca.certificate), half(p.Authorities)...) }, "ca.crt: 1 of its 2 PEM blocks"},
		"another certificate's key":  {func(p *PEM) { p.Key = other.Key }, "tls.key: "},
		"a key among authorities":    {func(p *PEM) { p.Authorities = append(p.Authorities, p.Key...) }, "ca.crt: holds a PRIVATE KEY"},
		"a leaf as authority":        {func(p *PEM) { p.Authorities = p.Certificate }, "ca.crt: holds no certificate of an authority"},
		"authorities that all ended": {func(p *PEM) { *p = p.trusting(longAgo) }, "ca.crt: expired"},
		"an expired certificate":     {func(p *PEM) { *p = ca.leaf(agent, expired) }, "tls.crt: expired"},
		"a certificate of tomorrow":  {func(p *PEM) { *p = ca.leaf(agent, notYet) }, "tls.crt: valid only from"},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			set := good
			set.Authorities = bytes.Clone(set.Authorities)
			x.change(&set)
			_, err := Parse(set, time.Now())
			if err == nil || !strings.Contains(err.Error(), x.want) {
				t.Fatalf("error %v; want %q", err, x.want)
			}
			if secret := strings.Split(string(good.Key), "\n")[1]; strings.Contains(err.Error(), secret) {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
	if _, err := Parse(good.trusting(longAgo, ca), time.Now()); err != nil {
		t.Errorf("an authority that ended beside a good one: %v; want it to be overlooked", err)
	}
}

func TestPEMNeverPrintsAKey(t *testing.T) {
	set := newAuthority(t).leaf(agent)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, set); text != "PEM{…}" {
			t.Errorf("%s prints %q", verb, text)
		}
	}
}

func FuzzParseCertificates(f *testing.F) {
	data := encoded(newAuthority(f).certificate)
	f.Add(data)
	f.Add(append(half(data), data...))
	f.Add([]byte("text\n" + string(data) + "-----BEGIN "))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := ParseCertificates(data)
		if err == nil && len(all) != bytes.Count(data, []byte("-----BEGIN")) {
			t.Errorf("%d certificates of %d blocks and no error", len(all), bytes.Count(data, []byte("-----BEGIN")))
		}
	})
}

func half(data []byte) []byte { return bytes.Clone(data[:len(data)/2]) }
