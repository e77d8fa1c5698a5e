package certificates

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/loam-storage/loam/mtls"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 90 * 24 * time.Hour

	// clockSkew is how far the clocks of nodes may differ: certificates are valid from that long before they are made.
	clockSkew = time.Hour

	// spread is how long both sides have an authority in ca.crt before certificates are issued by it. The kubelet needs about
	// two minutes; a day leaves time for nodes that do not reach the API server. Nothing waits for it: what is to be replaced
	// is good for a month at least.
	spread = 24 * time.Hour
)

// write is one change of a Secret: create it, or replace what it has.
type write struct {
	party        // whose; of the authority, its Secret alone
	why   string // for the log
	issue bool   // a new certificate and key; those that are there stay otherwise

	issuer      *authority          // of a side's certificate; nil for an authority, which issues its own
	authorities []*x509.Certificate // ca.crt of a side
	since       time.Time           // when they became these
}

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// leaf is what a side's Secret has of use.
type leaf struct {
	party
	certificate *x509.Certificate // nil where there is none that can be used
	damage      string            // why not
	authorities []*x509.Certificate
	since       time.Time // when authorities became these; zero where that is unknown
}

// plan decides what to write now: nothing, the authority, or what the two sides' Secrets need, in no order. Whoever carried
// it out reads the Secrets again and asks again, until there is nothing.
//
// An authority is replaced at two thirds of its life, or when its Secret is gone or damaged; its key is then gone, but it
// stays in both ca.crt for as long as a certificate of it may live. The new one is put into both ca.crt at once, and issues
// certificates a spread later. A certificate is replaced at two thirds of its life; one that is of no use at once.
//
// The error is of what only a person can mend: somebody else's Secrets, or a clock that is wrong.
func plan(now time.Time, have secrets) ([]write, error) {
	if brought(have) {
		return nil, checkBrought(now, have)
	}
	if have.authority != nil && !ours(have.authority) {
		return nil, fmt.Errorf("secret %s: not Loam's own (no label %s=%s): delete it, or bring %s and %s",
			AuthoritySecret, labelManager, manager, ControllerSecret, AgentSecret)
	}
	issuer, why := readAuthority(now, have.authority)
	controller, agent := readLeaf(controllerParty, now, have.controller), readLeaf(agentParty, now, have.agent)
	if err := checkClock(now, issuer, controller, agent); err != nil {
		return nil, err
	}
	if issuer != nil && now.Before(issuer.certificate.NotAfter) {
		// What the two sides need comes first, also from an authority that is about to be replaced: its successor may issue
		// only after a spread.
		if writes := planLeafs(now, issuer, []leaf{controller, agent}); len(writes) > 0 {
			return writes, nil
		}
	}
	if why != "" {
		return []write{{party: party{secret: AuthoritySecret}, why: why, issue: true}}, nil
	}
	return nil, nil
}

func planLeafs(now time.Time, issuer *authority, leafs []leaf) []write {
	authorities := trusted(now, issuer, leafs)
	hasSpread := !slices.ContainsFunc(leafs, func(l leaf) bool { return !l.trustsSince(issuer, now.Add(-spread)) })
	var writes []write
	for _, l := range leafs {
		w := write{party: l.party, issuer: issuer, authorities: authorities, since: l.since}
		if w.why = l.due(now, issuer, authorities, hasSpread); w.why != "" {
			w.issue = true
		}
		if !slices.EqualFunc(l.authorities, authorities, (*x509.Certificate).Equal) || l.since.IsZero() {
			w.since = now
			w.why = join(w.why, "authorities to trust changed")
		}
		if w.why != "" {
			writes = append(writes, w)
		}
	}
	return writes
}

// trusted are the authorities that belong into both ca.crt: the one that issues, and those whose certificates may still be
// in use somewhere.
func trusted(now time.Time, issuer *authority, leafs []leaf) []*x509.Certificate {
	all := []*x509.Certificate{issuer.certificate}
	// The others have issued nothing since this one was made.
	ended := now.After(issuer.certificate.NotBefore.Add(clockSkew + leafLife + spread))
	exchanged := !slices.ContainsFunc(leafs, func(l leaf) bool { return l.certificate != nil && !issued(issuer.certificate, l.certificate) })
	if ended && exchanged {
		return all
	}
	for _, l := range leafs {
		for _, c := range l.authorities {
			if c.IsCA && now.Before(c.NotAfter) && !slices.ContainsFunc(all, c.Equal) {
				all = append(all, c)
			}
		}
	}
	return all
}

// due says why a side needs a new certificate now; "" when it does not.
func (l leaf) due(now time.Time, issuer *authority, authorities []*x509.Certificate, hasSpread bool) string {
	switch {
	case l.certificate == nil:
		return l.damage
	case issued(issuer.certificate, l.certificate):
		if aged(now, l.certificate) {
			return "two thirds of its life are over"
		}
		return ""
	case !slices.ContainsFunc(authorities, func(c *x509.Certificate) bool { return issued(c, l.certificate) }):
		return "issued by an authority that nobody trusts"
	case hasSpread:
		return "issued by an authority that was replaced"
	}
	return ""
}

// trustsSince says whether the Secret has had the authority since before the time.
func (l leaf) trustsSince(a *authority, t time.Time) bool {
	return !l.since.IsZero() && !l.since.After(t) && slices.ContainsFunc(l.authorities, a.certificate.Equal)
}

// readAuthority reads the Secret of the authority that issues, or says why there has to be another. It may return both.
func readAuthority(now time.Time, s *corev1.Secret) (a *authority, why string) {
	if s == nil {
		return nil, "there is no authority"
	}
	chain, err := mtls.ParseCertificates(s.Data[mtls.CertificateName])
	if err != nil {
		return nil, "authority damaged: tls.crt: " + err.Error()
	}
	pair, err := tls.X509KeyPair(s.Data[mtls.CertificateName], s.Data[mtls.KeyName])
	if err != nil {
		return nil, "authority damaged: tls.key: " + err.Error()
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !chain[0].IsCA {
		return nil, "authority damaged: tls.crt: not an authority's, or of another kind of key"
	}
	a = &authority{certificate: chain[0], key: key}
	if aged(now, a.certificate) {
		return a, "two thirds of the authority's life are over"
	}
	return a, ""
}

func readLeaf(p party, now time.Time, s *corev1.Secret) leaf {
	l := leaf{party: p}
	if s == nil {
		l.damage = "there is no certificate"
		return l
	}
	if all, err := mtls.ParseCertificates(s.Data[mtls.AuthoritiesName]); err == nil {
		l.authorities = all
		if t, ok := since(s, now); ok {
			l.since = t
		}
	}
	c, err := p.parse(s)
	switch {
	case err != nil:
		l.damage = "certificate damaged: " + err.Error()
	case !now.Before(c.NotAfter):
		l.damage = "certificate expired"
	default:
		l.certificate = c
	}
	return l
}

// parse reads a side's certificate, and checks that it belongs to the key and is for the party.
func (p party) parse(s *corev1.Secret) (*x509.Certificate, error) {
	set := pemOf(s)
	chain, err := mtls.ParseCertificates(set.Certificate)
	if err != nil {
		return nil, fmt.Errorf("tls.crt: %w", err)
	}
	if _, err := tls.X509KeyPair(set.Certificate, set.Key); err != nil {
		return nil, fmt.Errorf("tls.key: %w", err)
	}
	c := chain[0]
	if !slices.Equal(c.DNSNames, []string{p.name}) || !slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{p.usage}) {
		return nil, errors.New("tls.crt: for another name or use")
	}
	return c, nil
}

// checkClock refuses to decide by a clock that is before the certificates: with two Managers, each would undo the other's work.
func checkClock(now time.Time, issuer *authority, leafs ...leaf) error {
	all := map[string]*x509.Certificate{}
	if issuer != nil {
		all[AuthoritySecret] = issuer.certificate
	}
	for _, l := range leafs {
		if l.certificate != nil {
			all[l.secret] = l.certificate
		}
	}
	var problems []error
	for _, name := range []string{AuthoritySecret, ControllerSecret, AgentSecret} {
		if c := all[name]; c != nil && now.Before(c.NotBefore) {
			problems = append(problems, fmt.Errorf(
				"secret %s: tls.crt: valid only from %s, but this machine's clock says %s: set the clock, or if it is right, delete the Secret",
				name, c.NotBefore.Format(time.RFC3339), now.UTC().Format(time.RFC3339)))
		}
	}
	return errors.Join(problems...)
}

// aged says whether two thirds of a certificate's life are over.
func aged(now time.Time, c *x509.Certificate) bool {
	made := c.NotBefore.Add(clockSkew)
	return !now.Before(made.Add(c.NotAfter.Sub(made) / 3 * 2))
}

func issued(parent, c *x509.Certificate) bool { return c.CheckSignatureFrom(parent) == nil }

func join(why, more string) string {
	if why == "" {
		return more
	}
	return why + "; " + more
}
