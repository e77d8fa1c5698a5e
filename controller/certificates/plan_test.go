package certificates

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/loam-storage/loam/mtls"
)

func TestFirstInstallMakesAllThree(t *testing.T) {
	w := newWorld(t, time.Hour)
	w.settle()
	if want := map[string]int{AuthoritySecret: 1, ControllerSecret: 1, AgentSecret: 1}; !maps.Equal(w.writes, want) {
		t.Errorf("writes %v; want %v", w.writes, want)
	}
	ca, agent := w.certificate(AuthoritySecret), w.certificate(AgentSecret)
	if got := ca.NotAfter.Sub(w.now); got != authorityLife {
		t.Errorf("the authority lives %v; want %v", got, authorityLife)
	}
	if got := agent.NotAfter.Sub(w.now); got != leafLife {
		t.Errorf("a certificate lives %v; want %v", got, leafLife)
	}
	if len(w.have.agent.Data) != 3 || w.have.agent.Type != corev1.SecretTypeTLS {
		t.Errorf("the agents' Secret is of type %s with %d keys; want tls.crt, tls.key, ca.crt", w.have.agent.Type, len(w.have.agent.Data))
	}
}

// TestAuthorityIsReplacedInThreeSteps follows one replacement, with real handshakes between all sets of a day.
func TestAuthorityIsReplacedInThreeSteps(t *testing.T) {
	w := newWorld(t, spread)
	w.now = time.Now().Add(-spread - time.Hour)
	w.check = shake
	w.settle()
	first := w.certificate(AuthoritySecret)
	w.have.authority = nil // as when somebody deletes it to have another

	w.settle()
	second := w.certificate(AuthoritySecret)
	if second.Equal(first) {
		t.Fatal("the authority is still the first")
	}
	for _, name := range []string{ControllerSecret, AgentSecret} {
		if got := w.certificates(name, mtls.AuthoritiesName); len(got) != 2 || !got[0].Equal(second) || !got[1].Equal(first) {
			t.Errorf("%s trusts %d authorities; want the second and the first", name, len(got))
		}
		if !issued(first, w.certificate(name)) {
			t.Errorf("%s has a certificate of the second authority at once; want that to spread first", name)
		}
	}

	w.pass(spread-time.Minute, every(spread-time.Minute))
	if !issued(first, w.certificate(AgentSecret)) {
		t.Errorf("the agents have a certificate of the second authority before it has spread")
	}
	w.pass(2*time.Minute, every(2*time.Minute))
	for _, name := range []string{ControllerSecret, AgentSecret} {
		if !issued(second, w.certificate(name)) || len(w.certificates(name, mtls.AuthoritiesName)) != 2 {
			t.Errorf("%s: want a certificate of the second authority, and both trusted", name)
		}
	}

	// From here on, in days to come, when a handshake by the real clock would say nothing.
	w.check = func(agent, controller mtls.PEM) error { return understand(w.now, agent, controller) }
	w.pass(leafLife-day, every(day))
	if got := w.certificates(AgentSecret, mtls.AuthoritiesName); len(got) != 2 {
		t.Errorf("the first authority is dropped while a certificate of it may be in use")
	}
	w.pass(3*day, every(day))
	for _, name := range []string{ControllerSecret, AgentSecret} {
		if got := w.certificates(name, mtls.AuthoritiesName); len(got) != 1 || !got[0].Equal(second) {
			t.Errorf("%s trusts %d authorities; want the second alone", name, len(got))
		}
	}
}

// shake is a real handshake, by the real clock.
func shake(agent, controller mtls.PEM) error {
	var sources [2]mtls.Memory
	for i, set := range []mtls.PEM{agent, controller} {
		m, err := mtls.Parse(set, time.Now())
		if err != nil {
			return err
		}
		sources[i].Set(m)
	}
	a, c := net.Pipe()
	server, client := tls.Server(a, mtls.Server(&sources[0], mtls.ControllerName)), tls.Client(c, mtls.Client(&sources[1], mtls.AgentName))
	served := make(chan error, 1)
	go func() {
		defer a.Close()
		_, err := server.Write([]byte{1})
		served <- err
	}()
	_, err := io.ReadFull(client, make([]byte, 1))
	c.Close()
	return errors.Join(err, <-served)
}

func TestWhatIsDamagedIsMadeAgain(t *testing.T) {
	other := newWorld(t, 0)
	other.settle()
	cases := map[string]struct {
		damage func(*world)
		want   string // of the first plan
	}{
		"no agents' Secret":               {func(w *world) { w.have.agent = nil }, "loam-agent-tls: there is no certificate"},
		"emptied Secret":                  {func(w *world) { w.have.agent.Data = nil }, "loam-agent-tls: certificate damaged: tls.crt"},
		"half a certificate":              {func(w *world) { cut(w.have.agent, mtls.CertificateName) }, "loam-agent-tls: certificate damaged: tls.crt"},
		"half a key":                      {func(w *world) { cut(w.have.controller, mtls.KeyName) }, "loam-controller-tls: certificate damaged: tls.key"},
		"half of ca.crt":                  {func(w *world) { cut(w.have.agent, mtls.AuthoritiesName) }, "loam-agent-tls: authorities to trust changed"},
		"another certificate's key":       {func(w *world) { w.have.agent.Data[mtls.KeyName] = w.have.controller.Data[mtls.KeyName] }, "loam-agent-tls: certificate damaged: tls.key"},
		"the controller's, for agents":    {func(w *world) { w.have.agent.Data = w.have.controller.DeepCopy().Data }, "loam-agent-tls: certificate damaged: tls.crt: for another name"},
		"a stranger's authority":          {func(w *world) { w.have.agent.Data = other.have.agent.Data }, "loam-controller-tls: authorities"},
		"nobody knows since when":         {func(w *world) { delete(w.have.agent.Annotations, annotationSince) }, "loam-agent-tls: authorities"},
		"since next year":                 {func(w *world) { w.have.agent.Annotations[annotationSince] = "2027-11-23T12:00:00Z" }, "loam-agent-tls: authorities"},
		"half the authority":              {func(w *world) { cut(w.have.authority, mtls.CertificateName) }, "loam-ca: authority damaged: tls.crt"},
		"half the authority's key":        {func(w *world) { cut(w.have.authority, mtls.KeyName) }, "loam-ca: authority damaged: tls.key"},
		"a certificate as authority":      {func(w *world) { w.have.authority.Data = w.have.agent.Data }, "loam-ca: authority damaged: tls.crt: not an authority's"},
		"authority and agents' Secret":    {func(w *world) { w.have.authority, w.have.agent = nil, nil }, "loam-ca: there is no authority"},
		"all of it":                       {func(w *world) { w.have = secrets{} }, "loam-ca: there is no authority"},
		"authority twice within a day":    {func(w *world) { w.have.authority = nil; w.settle(); w.have.authority = nil }, "loam-ca: there is no authority"},
		"away for a hundred days":         {func(w *world) { w.now = w.now.Add(100 * day) }, "loam-controller-tls: certificate expired"},
		"away for a dozen years":          {func(w *world) { w.now = w.now.Add(12 * 365 * day) }, "loam-ca: two thirds of the authority's life are over"},
		"away when all was to be renewed": {func(w *world) { w.now = w.now.Add(7 * 365 * day) }, "loam-controller-tls: certificate expired"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 0)
			w.settle()
			w.check = func(mtls.PEM, mtls.PEM) error { return nil } // what is damaged is excused until it is mended
			c.damage(w)
			writes, err := plan(w.now, w.have)
			if err != nil || !strings.Contains(whys(writes), c.want) {
				t.Fatalf("plan: %s, error %v; want %q", whys(writes), err, c.want)
			}
			w.settle()
			if err := understand(w.now, pemOf(w.have.agent), pemOf(w.have.controller)); err != nil {
				t.Errorf("once mended, the two do not understand one another: %v", err)
			}
			w.pass(200*day, every(day))
			if err := understand(w.now, pemOf(w.have.agent), pemOf(w.have.controller)); err != nil {
				t.Errorf("200 days later, the two do not understand one another: %v", err)
			}
		})
	}
}

func cut(s *corev1.Secret, key string) { s.Data[key] = s.Data[key][:len(s.Data[key])/2] }

func TestClockThatIsBehindWritesNothing(t *testing.T) {
	w := newWorld(t, 0)
	w.settle()
	before := w.snapshot(AgentSecret)
	w.now = w.now.Add(-clockSkew / 2)
	w.settle()
	if !maps.Equal(before, w.snapshot(AgentSecret)) {
		t.Error("a clock half an hour behind has the agents' certificate replaced")
	}
	w.now = noon.Add(-2 * day)
	writes, err := plan(w.now, w.have)
	if err == nil || len(writes) > 0 {
		t.Fatalf("plan: %s, error %v; want an error and nothing to write", whys(writes), err)
	}
	for _, part := range []string{AuthoritySecret, ControllerSecret, AgentSecret, "2026-11-21T12:00:00Z"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q; want it to name %s", err, part)
		}
	}
}

func TestBroughtSecretsAreCheckedAndNotWritten(t *testing.T) {
	w, other := newWorld(t, 0), newWorld(t, 0)
	w.settle()
	other.settle()
	cases := map[string]struct {
		change func(*secrets)
		want   []string // in the error; none: all is well
	}{
		"fit together":       {func(*secrets) {}, nil},
		"of cert-manager":    {func(h *secrets) { certManager(h.agent); certManager(h.controller) }, nil},
		"one side alone":     {func(h *secrets) { h.controller = nil }, []string{"loam-controller-tls", "tls.crt, tls.key, ca.crt", "DNS name loam-controller"}},
		"one side is ours":   {func(h *secrets) { h.agent = w.have.agent }, []string{"loam-agent-tls: bring it, too"}},
		"no ca.crt":          {func(h *secrets) { delete(h.agent.Data, mtls.AuthoritiesName) }, []string{"loam-agent-tls: ca.crt: missing"}},
		"no key, no ca.crt":  {func(h *secrets) { delete(h.agent.Data, mtls.KeyName); cut(h.controller, mtls.AuthoritiesName) }, []string{"loam-agent-tls: tls.key: missing", "loam-controller-tls: ca.crt"}},
		"sides exchanged":    {func(h *secrets) { h.agent.Data, h.controller.Data = h.controller.Data, h.agent.Data }, []string{"loam-agent-tls: tls.crt", "loam-controller-tls: tls.crt"}},
		"foreign authority":  {func(h *secrets) { h.agent.Data = other.have.agent.Data }, []string{"loam-agent-tls: tls.crt: not what ca.crt of secret loam-controller-tls trusts"}},
		"foreign loam-ca":    {func(h *secrets) { h.authority = &corev1.Secret{} }, nil},
		"our label, foreign": {func(h *secrets) { h.agent.Labels = w.have.agent.Labels; certManager(h.agent) }, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			have := w.bringing()
			c.change(&have)
			writes, err := plan(w.now, have)
			if len(writes) > 0 {
				t.Errorf("plan: %s; want nothing written", whys(writes))
			}
			if (err == nil) != (len(c.want) == 0) {
				t.Fatalf("error %v; want %q", err, c.want)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q; want it to say %q", err, part)
				}
			}
		})
	}
}

func certManager(s *corev1.Secret) {
	s.Annotations = map[string]string{"cert-manager.io/certificate-name": "loam"}
}

func TestBroughtSecretsThatExpiredAreNamed(t *testing.T) {
	w := newWorld(t, 0)
	w.settle()
	_, err := plan(w.now.Add(91*day), w.bringing())
	if err == nil || !strings.Contains(err.Error(), "loam-agent-tls: tls.crt: expired at 2027-02-21T12:00:00Z") {
		t.Errorf("error %v; want it to say which expired, and when", err)
	}
}

func TestForeignAuthorityIsNotOverwritten(t *testing.T) {
	writes, err := plan(noon, secrets{authority: &corev1.Secret{}})
	if err == nil || !strings.Contains(err.Error(), "secret loam-ca: not Loam's own") || len(writes) > 0 {
		t.Errorf("plan: %s, error %v; want an error that names the Secret", whys(writes), err)
	}
}

func TestWhatIsAddedToASecretOfOursGoesWithTheNextWrite(t *testing.T) {
	w := newWorld(t, 0)
	w.settle()
	w.have.agent.Data["extra"] = bytes.Clone(w.have.authority.Data[mtls.CertificateName])
	w.have.agent.Labels["team"] = "storage"
	w.pass(60*day, every(day))
	if w.writes[AgentSecret] != 2 || len(w.have.agent.Data) != 3 || w.have.agent.Labels["team"] != "storage" {
		t.Errorf("%d writes, %d keys, labels %v; want 2 writes, 3 keys, and labels kept",
			w.writes[AgentSecret], len(w.have.agent.Data), w.have.agent.Labels)
	}
}
