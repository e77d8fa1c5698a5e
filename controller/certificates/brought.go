package certificates

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/loam-storage/loam/mtls"
)

// brought says whether a side's Secret is somebody else's. Then both have to be: the sides must trust one another's
// authority, and Loam changes nothing about a Secret that is not its own.
func brought(have secrets) bool {
	for _, s := range []*corev1.Secret{have.controller, have.agent} {
		if s != nil && !ours(s) {
			return true
		}
	}
	return false
}

// checkBrought says what keeps the sides from using the Secrets that somebody else made, by Secret and key; nil when nothing.
func checkBrought(now time.Time, have secrets) error {
	var problems []error
	sets := map[string]*mtls.Material{}
	for _, p := range []struct {
		party
		have *corev1.Secret
	}{{controllerParty, have.controller}, {agentParty, have.agent}} {
		if p.have == nil || ours(p.have) {
			problems = append(problems, fmt.Errorf(
				"secret %s: bring it, too (tls.crt, tls.key, ca.crt; DNS name %s): Loam makes both certificates or neither", p.secret, p.name))
			continue
		}
		m, err := material(p.secret, p.have, now)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		sets[p.secret] = m
	}
	if len(sets) == 2 {
		problems = append(problems,
			meets(now, sets[AgentSecret], AgentSecret, sets[ControllerSecret], controllerParty),
			meets(now, sets[ControllerSecret], ControllerSecret, sets[AgentSecret], agentParty))
	}
	return errors.Join(problems...)
}

// meets says why the peer's certificate is not what the one who judges by its ca.crt asks for.
func meets(now time.Time, judge *mtls.Material, judges string, peer *mtls.Material, p party) error {
	if err := judge.Verify(peer.Chain(), p.name, p.usage, now); err != nil {
		return fmt.Errorf("secret %s: tls.crt: not what ca.crt of secret %s trusts as %s: %w", p.secret, judges, p.name, err)
	}
	return nil
}
