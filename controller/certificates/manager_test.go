package certificates

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/loam-storage/loam/mtls"
)

const namespace = "loam-system"

var resource = schema.GroupResource{Resource: "secrets"}

// api is client-go's fake with what it lacks: resource versions that are counted, and compared on update.
type api struct {
	*fake.Clientset
	mu      sync.Mutex // guards version, and makes compare-and-write one step
	version int
}

func newAPI(have ...runtime.Object) *api {
	a := &api{Clientset: fake.NewClientset(have...)}
	a.PrependReactor("create", "secrets", a.write)
	a.PrependReactor("update", "secrets", a.write)
	return a
}

func (a *api) write(action clienttesting.Action) (bool, runtime.Object, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := action.(interface{ GetObject() runtime.Object }).GetObject().(*corev1.Secret).DeepCopy()
	gvr := action.GetResource()
	before := s.ResourceVersion
	a.version++
	s.ResourceVersion = strconv.Itoa(a.version)
	if action.GetVerb() == "create" {
		return true, s, a.Tracker().Create(gvr, s, namespace)
	}
	found, err := a.Tracker().Get(gvr, namespace, s.Name)
	if err != nil {
		return true, nil, err
	}
	if found.(*corev1.Secret).ResourceVersion != before {
		return true, nil, apierrors.NewConflict(resource, s.Name, errors.New("changed"))
	}
	return true, s, a.Tracker().Update(gvr, s, namespace)
}

func (a *api) writes() (verbs []string) {
	for _, action := range a.Actions() {
		if action.GetVerb() != "get" {
			verbs = append(verbs, action.GetVerb())
		}
	}
	return verbs
}

func (a *api) secret(t testing.TB, name string) *corev1.Secret {
	t.Helper()
	s, err := a.CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (a *api) manager() *Manager {
	return &Manager{Client: a, Namespace: namespace, Now: func() time.Time { return noon }}
}

func ensure(t testing.TB, m *Manager) {
	t.Helper()
	if err := m.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// sound checks that what the API has lets the two sides meet, and that the manager uses the controller's.
func sound(t testing.TB, a *api, m *Manager) {
	t.Helper()
	agent, controller := pemOf(a.secret(t, AgentSecret)), pemOf(a.secret(t, ControllerSecret))
	if err := understand(m.now(), agent, controller); err != nil {
		t.Errorf("the two sides do not understand one another: %v", err)
	}
	own, err := m.Material()
	if err != nil {
		t.Fatal(err)
	}
	if want, err := mtls.ParseCertificates(controller.Certificate); err != nil || !own.Chain()[0].Equal(want[0]) {
		t.Errorf("the manager uses another certificate than the Secret's; error %v", err)
	}
}

func TestEnsureInstallsAndThenWritesNothing(t *testing.T) {
	a := newAPI()
	m := a.manager()
	if _, err := m.Material(); !errors.Is(err, mtls.ErrNone) {
		t.Errorf("before the first Ensure: error %v; want %v", err, mtls.ErrNone)
	}
	ensure(t, m)
	sound(t, a, m)
	if got := strings.Join(a.writes(), " "); got != "create create create" {
		t.Errorf("writes %q; want three Secrets created", got)
	}
	a.ClearActions()
	ensure(t, m)
	ensure(t, a.manager())
	if got := a.writes(); len(got) > 0 {
		t.Errorf("writes %q; want none when nothing is due", got)
	}
}

func TestEnsureRenews(t *testing.T) {
	a := newAPI()
	m := a.manager()
	ensure(t, m)
	a.ClearActions()
	m.Now = func() time.Time { return noon.Add(60 * day) }
	ensure(t, m)
	sound(t, a, m)
	if got := strings.Join(a.writes(), " "); got != "update update" {
		t.Errorf("writes %q; want both sides' Secrets updated", got)
	}
}

func TestEnsureRepairsADamagedSecret(t *testing.T) {
	a := newAPI()
	m := a.manager()
	ensure(t, m)
	s := a.secret(t, ControllerSecret)
	s.Data[mtls.KeyName] = []byte("gone")
	if _, err := a.CoreV1().Secrets(namespace).Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	ensure(t, m)
	sound(t, a, m)
}

func TestEnsureFillsSecretsMadeEmpty(t *testing.T) {
	// As an installer may make them, so that Manager needs no right to create.
	var empty []runtime.Object
	for _, name := range []string{AuthoritySecret, ControllerSecret, AgentSecret} {
		empty = append(empty, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: namespace, Labels: map[string]string{labelManager: manager},
		}})
	}
	a := newAPI(empty...)
	m := a.manager()
	ensure(t, m)
	sound(t, a, m)
}

func TestManyManagersInstallAtOnce(t *testing.T) {
	a := newAPI()
	var done sync.WaitGroup
	managers := make([]*Manager, 4)
	errs := make([]error, len(managers))
	for i := range managers {
		managers[i] = a.manager()
		done.Go(func() { errs[i] = managers[i].Ensure(t.Context()) })
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, m := range managers {
		sound(t, a, m)
	}
	if a.version > 3+2*len(managers)*len(managers) {
		t.Errorf("%d attempts to write", a.version)
	}
}

func TestEnsureReadsAgainAfterAConflict(t *testing.T) {
	for verb, refuse := range map[string]error{
		"create": apierrors.NewAlreadyExists(resource, AgentSecret),
		"update": apierrors.NewConflict(resource, AgentSecret, errors.New("changed")),
	} {
		a := newAPI()
		m := a.manager()
		if verb == "update" {
			ensure(t, m)
			m.Now = func() time.Time { return noon.Add(60 * day) }
		}
		refused := 0
		a.PrependReactor(verb, "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
			refused++
			return refused <= 2, nil, refuse
		})
		ensure(t, m)
		sound(t, a, m)
		if refused <= 2 {
			t.Errorf("%s: tried %d times; want another after two refusals", verb, refused)
		}
	}
}

func TestEnsureGivesUpWhenItNeverWins(t *testing.T) {
	a := newAPI()
	a.PrependReactor("create", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewAlreadyExists(resource, AuthoritySecret)
	})
	if err := a.manager().Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "changed by somebody else") {
		t.Errorf("error %v; want it to say that somebody else writes", err)
	}
}

func TestFailedReadIsNotAbsence(t *testing.T) {
	a := newAPI()
	m := a.manager()
	ensure(t, m)
	a.ClearActions()
	a.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInternalError(errors.New("etcd is away"))
	})
	if err := m.Ensure(t.Context()); !apierrors.IsInternalError(err) {
		t.Errorf("error %v; want the API server's", err)
	}
	if got := a.writes(); len(got) > 0 {
		t.Errorf("writes %q after a failed read; want none", got)
	}
	if _, err := m.Material(); err != nil {
		t.Errorf("the certificate in use is gone: %v", err)
	}
}

func TestBroughtSecretsAreUsed(t *testing.T) {
	w := newWorld(t, 0)
	w.settle()
	have := w.bringing()
	have.agent.Namespace, have.controller.Namespace = namespace, namespace
	a := newAPI(have.agent, have.controller)
	m := a.manager()
	ensure(t, m)
	sound(t, a, m)

	delete(have.agent.Data, mtls.AuthoritiesName)
	a = newAPI(have.agent, have.controller)
	m = a.manager()
	if err := m.Ensure(t.Context()); err == nil || err.Error() != "secret loam-agent-tls: ca.crt: missing" {
		t.Errorf("error %v; want it to name Secret and key", err)
	}
	if _, err := m.Material(); err != nil {
		t.Errorf("the controller's own certificate is good and not in use: %v", err)
	}
	if got := a.writes(); len(got) > 0 {
		t.Errorf("writes %q to somebody else's Secrets", got)
	}
}

func TestRunRenewsInTimeAndLogsAProblemOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI()
		log := &bytes.Buffer{}
		m := a.manager()
		m.Now, m.Log = nil, slog.New(slog.NewTextHandler(log, nil))
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { m.Run(ctx) })
		synctest.Wait()
		sound(t, a, m)

		s := a.secret(t, AgentSecret)
		s.Labels = nil
		if _, err := a.CoreV1().Secrets(namespace).Update(ctx, s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * interval)
		cancel()
		done.Wait()
		if got := strings.Count(log.String(), "level=ERROR"); got != 1 {
			t.Errorf("a problem of ten minutes is logged %d times; want once", got)
		}
		for _, name := range []string{AuthoritySecret, ControllerSecret, AgentSecret} {
			key := strings.Split(string(a.secret(t, name).Data[mtls.KeyName]), "\n")[1]
			if strings.Contains(log.String(), key) {
				t.Errorf("the log tells the key of %s", name)
			}
		}
	})
}
