package registration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// versions are those of CSI that the driver speaks; the kubelet takes any 1.x (pkg/volume/csi, validateVersions).
var versions = []string{"1.0.0"}

// conversation is what the kubelet asked and answered.
type conversation struct {
	log *slog.Logger
	now func() time.Time

	mu       sync.Mutex // guards what follows
	known    state
	once     bool   // the kubelet took the driver
	failures int    // how often it did not
	problem  string // the last one; "" after a success
}

// state is how far registration got.
type state struct {
	registered bool      // the kubelet took the driver, from this socket file
	attempts   int       // socket files in a row from which it has not
	since      time.Time // when the file was put in place or, later, something was last heard of the kubelet
}

// due decides whether a new socket file is to be put in place; gone says that the last one is not there any more. A kubelet that refused tries again by itself, but not one
// that missed the file's appearance: for that one it appears anew.
func (s state) due(gone bool, now time.Time, p pace) bool {
	switch {
	case gone:
		return true
	case s.registered:
		return false
	}
	return now.Sub(s.since) >= p.patience(s.attempts)
}

// patience is how long the kubelet may take after that many socket files in a row.
func (p pace) patience(attempts int) time.Duration {
	if attempts == 0 {
		return 0
	}
	wait := p.first
	for range attempts - 1 {
		wait = min(2*wait, p.most)
	}
	return wait
}

// check says why the kubelet never took the driver; nil once it did.
func (c *conversation) check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.once:
		return nil
	case c.problem != "":
		return fmt.Errorf("not registered with the kubelet: %s (failures: %d)", c.problem, c.failures)
	}
	return errors.New("not registered with the kubelet: it has not asked yet")
}

func (c *conversation) state() state {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known
}

// begin notes that a new socket file is put in place.
func (c *conversation) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = state{attempts: c.known.attempts + 1, since: c.now()}
}

// heard notes that the kubelet is at work on it.
func (c *conversation) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.since = c.now()
}

func (c *conversation) succeed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = state{registered: true, since: c.now()}
	c.once, c.problem = true, ""
}

// fail notes a failure and returns how many there were.
func (c *conversation) fail(problem string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = state{attempts: max(1, c.known.attempts), since: c.now()}
	c.failures++
	c.problem = problem
	return c.failures
}

// service answers the kubelet (k8s.io/kubelet, pluginregistration/v1/api.proto).
type service struct {
	registerapi.UnimplementedRegistrationServer
	options Options
	*conversation
}

// GetInfo says which driver this is and where it serves.
func (s service) GetInfo(context.Context, *registerapi.InfoRequest) (*registerapi.PluginInfo, error) {
	s.heard()
	return &registerapi.PluginInfo{
		Type: registerapi.CSIPlugin, Name: s.options.Driver, Endpoint: s.options.Endpoint, SupportedVersions: versions,
	}, nil
}

// NotifyRegistrationStatus is told whether the kubelet took the driver.
func (s service) NotifyRegistrationStatus(ctx context.Context, status *registerapi.RegistrationStatus) (*registerapi.RegistrationStatusResponse, error) {
	if status.GetPluginRegistered() {
		s.log.InfoContext(ctx, "registered with the kubelet")
		s.succeed()
	} else {
		problem := "it says: " + status.GetError()
		s.log.ErrorContext(ctx, "the kubelet does not register the driver", "error", status.GetError(), "failures", s.fail(problem))
	}
	return &registerapi.RegistrationStatusResponse{}, nil
}
