package certificates

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/loam-storage/loam/mtls"
)

const day = 24 * time.Hour

// noon is when the tests' installs begin, unless they say otherwise.
var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// world is an install as time goes by. After every single write, it checks that any set of the controller's that may be in
// use understands any of the agents': those that there are, and those written over less than lag ago.
type world struct {
	t    testing.TB
	now  time.Time
	lag  time.Duration
	have secrets

	writes map[string]int // of each Secret
	used   map[string][]used
	check  func(agent, controller mtls.PEM) error // whether the two understand one another
}

type used struct {
	set   mtls.PEM
	until time.Time // zero: still
}

func newWorld(t testing.TB, lag time.Duration) *world {
	w := &world{t: t, now: noon, lag: lag, writes: map[string]int{}, used: map[string][]used{}}
	w.check = func(agent, controller mtls.PEM) error { return understand(w.now, agent, controller) }
	return w
}

// slot is where a Secret is.
func (h *secrets) slot(name string) **corev1.Secret {
	return map[string]**corev1.Secret{AuthoritySecret: &h.authority, ControllerSecret: &h.controller, AgentSecret: &h.agent}[name]
}

// settle does what Manager does: plans and writes until there is nothing to do.
func (w *world) settle() {
	w.t.Helper()
	for range attempts {
		writes, err := plan(w.now, w.have)
		if err != nil {
			w.t.Fatalf("at %s: %v", w.now, err)
		}
		if len(writes) == 0 {
			return
		}
		for _, x := range writes {
			slot := w.have.slot(x.secret)
			s, err := render(w.now, x, *slot)
			if err != nil {
				w.t.Fatal(err)
			}
			*slot = s
			w.writes[x.secret]++
			w.note(x.secret, s)
			w.checkAll()
		}
	}
	w.t.Fatalf("at %s: the plan never ends", w.now)
}

func (w *world) note(name string, s *corev1.Secret) {
	all := w.used[name]
	if len(all) > 0 {
		all[len(all)-1].until = w.now
	}
	w.used[name] = append(all, used{set: pemOf(s)})
}

// checkAll checks all pairs, and that the authority's key stays where it belongs.
func (w *world) checkAll() {
	w.t.Helper()
	for _, name := range []string{ControllerSecret, AgentSecret} {
		var still []used
		for _, u := range w.used[name] {
			if u.until.IsZero() || w.now.Sub(u.until) < w.lag {
				still = append(still, u)
			}
		}
		w.used[name] = still
	}
	for _, a := range w.used[AgentSecret] {
		for _, c := range w.used[ControllerSecret] {
			if err := w.check(a.set, c.set); err != nil {
				w.t.Fatalf("at %s: %v", w.now, err)
			}
		}
	}
	for _, s := range []*corev1.Secret{w.have.agent, w.have.controller} {
		if s == nil || w.have.authority == nil {
			continue
		}
		for key, data := range s.Data {
			if bytes.Contains(data, w.have.authority.Data[mtls.KeyName]) {
				w.t.Fatalf("at %s: %s of %s holds the authority's key", w.now, key, s.Name)
			}
		}
	}
}

// pass lets time go by in the steps, with a look after each.
func (w *world) pass(duration time.Duration, step func() time.Duration) {
	w.t.Helper()
	for end := w.now.Add(duration); w.now.Before(end); {
		w.now = w.now.Add(step())
		w.settle()
		w.checkAll()
	}
}

func every(step time.Duration) func() time.Duration { return func() time.Duration { return step } }

// understand says why the two ends would not shake hands.
func understand(now time.Time, agent, controller mtls.PEM) error {
	a, err := mtls.Parse(agent, now)
	if err != nil {
		return err
	}
	c, err := mtls.Parse(controller, now)
	if err != nil {
		return err
	}
	if err := a.Verify(c.Chain(), ControllerName, x509.ExtKeyUsageClientAuth, now); err != nil {
		return err
	}
	return c.Verify(a.Chain(), AgentName, x509.ExtKeyUsageServerAuth, now)
}

// snapshot is what a Secret holds, to compare.
func (w *world) snapshot(name string) map[string]string {
	m := map[string]string{}
	for key, data := range (*w.have.slot(name)).Data {
		m[key] = string(data)
	}
	return m
}

func (w *world) certificate(name string) *x509.Certificate {
	w.t.Helper()
	all := w.certificates(name, mtls.CertificateName)
	return all[0]
}

func (w *world) certificates(name, key string) []*x509.Certificate {
	w.t.Helper()
	all, err := mtls.ParseCertificates((*w.have.slot(name)).Data[key])
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// bringing is a copy of the world's two sides as somebody else would keep them.
func (w *world) bringing() secrets {
	strange := func(s *corev1.Secret) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: s.Name}, Type: s.Type, Data: s.DeepCopy().Data}
	}
	return secrets{controller: strange(w.have.controller), agent: strange(w.have.agent)}
}

func whys(writes []write) string {
	var all []string
	for _, w := range writes {
		all = append(all, w.secret+": "+w.why)
	}
	return strings.Join(all, "\n")
}
