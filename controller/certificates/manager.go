package certificates

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/loam-storage/loam/mtls"
)

const (
	interval = time.Minute      // between two looks at the Secrets
	sooner   = 5 * time.Second  // when the last one failed
	patience = 30 * time.Second // for one look, with all that it writes: far less than a spread

	// attempts are how often one look reads the Secrets again because somebody else wrote, or there is more to do.
	attempts = 20
)

// Manager keeps the Secrets of one install. It needs the API rights get and update for the three by name, and create. It is
// a mtls.Source of the controller's own certificate, which it has before the kubelet could mount it.
type Manager struct {
	Client    kubernetes.Interface
	Namespace string
	Log       *slog.Logger     // nil for none
	Now       func() time.Time // nil for time.Now

	own mtls.Memory
}

// Run looks at the Secrets at once and then every minute, sooner when it failed, until the context ends. A problem is logged when it is new.
func (m *Manager) Run(ctx context.Context) {
	said := ""
	for {
		err := m.Ensure(ctx)
		if ctx.Err() != nil {
			return
		}
		wait, says := interval, ""
		if err != nil {
			wait, says = sooner, err.Error()
		}
		if says != "" && says != said {
			m.log().Error("certificates", "error", err)
		}
		said = says
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Ensure makes, renews and replaces once what is due. Then Material has the controller's certificate, also with some errors:
// those that are about the agents' alone. An error names Secret and key where somebody has to mend one.
func (m *Manager) Ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for range attempts {
		now := m.now()
		have, err := m.read(ctx)
		if err != nil {
			return err
		}
		writes, err := plan(now, have)
		if err != nil || len(writes) == 0 {
			// Of the two errors about the controller's own Secret, the plan's says more.
			return first(err, m.use(now, have.controller))
		}
		if err := m.perform(ctx, now, have, writes); err != nil {
			return err
		}
	}
	return fmt.Errorf("certificates: secrets in %s are being changed by somebody else, %d times in a row", m.Namespace, attempts)
}

// Material is the controller's certificate as the last Ensure found it; mtls.ErrNone before the first.
func (m *Manager) Material() (*mtls.Material, error) { return m.own.Material() }

func (m *Manager) use(now time.Time, controller *corev1.Secret) error {
	own, err := material(ControllerSecret, controller, now)
	if err != nil {
		return err
	}
	m.own.Set(own)
	return nil
}

func (m *Manager) read(ctx context.Context) (have secrets, err error) {
	for name, s := range map[string]**corev1.Secret{
		AuthoritySecret: &have.authority, ControllerSecret: &have.controller, AgentSecret: &have.agent,
	} {
		found, err := m.secrets().Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err): // stays nil
		case err != nil:
			return secrets{}, fmt.Errorf("read secret %s: %w", name, err)
		default:
			*s = found
		}
	}
	return have, nil
}

// perform carries out what was decided on what was read. It stops without an error where somebody else has written since.
func (m *Manager) perform(ctx context.Context, now time.Time, have secrets, writes []write) error {
	before := map[string]*corev1.Secret{
		AuthoritySecret: have.authority, ControllerSecret: have.controller, AgentSecret: have.agent,
	}
	for _, w := range writes {
		s, err := render(now, w, before[w.secret])
		if err != nil {
			return err
		}
		err = m.write(ctx, s, before[w.secret] == nil)
		switch {
		case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err) && before[w.secret] != nil:
			return nil
		case err != nil:
			return fmt.Errorf("write secret %s: %w", w.secret, err)
		}
		m.log().Info("certificate written", "secret", w.secret, "new", w.issue, "why", w.why)
	}
	return nil
}

func (m *Manager) write(ctx context.Context, s *corev1.Secret, create bool) error {
	if create {
		_, err := m.secrets().Create(ctx, s, metav1.CreateOptions{})
		return err
	}
	_, err := m.secrets().Update(ctx, s, metav1.UpdateOptions{})
	return err
}

func (m *Manager) secrets() typedcorev1.SecretInterface {
	return m.Client.CoreV1().Secrets(m.Namespace)
}

func (m *Manager) now() time.Time {
	if m.Now == nil {
		return time.Now()
	}
	return m.Now()
}

func (m *Manager) log() *slog.Logger {
	if m.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return m.Log
}

// first is the first error there is.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
