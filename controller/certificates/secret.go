package certificates

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/loam-storage/loam/mtls"
)

// The Secrets, all of type kubernetes.io/tls.
const (
	AuthoritySecret  = "loam-ca" // tls.crt and tls.key of the authority that issues
	ControllerSecret = "loam-controller-tls"
	AgentSecret      = "loam-agent-tls" //nolint:gosec // the name of an object
)

const (
	labelManager = "app.kubernetes.io/managed-by"
	manager      = "loam-controller"

	// When ca.crt became what it is, RFC 3339: authorities have spread some time after that.
	annotationSince = "loam.storage/authorities-since"

	// cert-manager puts these on a Secret that it keeps; it leaves other labels as they are, ours among them.
	certManagerPrefix = "cert-manager.io/"
)

// secrets are the install's three as they were read; nil is one that is not there.
type secrets struct {
	authority, controller, agent *corev1.Secret
}

// party is one of the two sides that hold a certificate.
type party struct {
	secret string
	name   string           // the one DNS name
	usage  x509.ExtKeyUsage // what the certificate is for
}

var (
	controllerParty = party{ControllerSecret, mtls.ControllerName, x509.ExtKeyUsageClientAuth}
	agentParty      = party{AgentSecret, mtls.AgentName, x509.ExtKeyUsageServerAuth}
)

// ours says whether a Secret is for Manager to write.
func ours(s *corev1.Secret) bool {
	for key := range s.Annotations {
		if strings.HasPrefix(key, certManagerPrefix) {
			return false
		}
	}
	return s.Labels[labelManager] == manager
}

// pemOf is a Secret's set.
func pemOf(s *corev1.Secret) mtls.PEM {
	return mtls.PEM{
		Certificate: s.Data[mtls.CertificateName], Key: s.Data[mtls.KeyName], Authorities: s.Data[mtls.AuthoritiesName],
	}
}

// material is a Secret's set, for use; its error names the Secret and the key.
func material(name string, s *corev1.Secret, now time.Time) (*mtls.Material, error) {
	if s == nil {
		return nil, fmt.Errorf("secret %s: missing", name)
	}
	m, err := mtls.Parse(pemOf(s), now)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	return m, nil
}

// since is when the Secret's ca.crt became what it is; false where that is unknown, or after now by more than clocks differ.
func since(s *corev1.Secret, now time.Time) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, s.Annotations[annotationSince])
	return t, err == nil && !t.After(now.Add(clockSkew))
}
