package health

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// The paths that Handler serves.
const (
	LivePath  = "/healthz"
	ReadyPath = "/readyz"
)

// answerWithin is how long the driver may take to say how it is.
const answerWithin = 5 * time.Second

// Checks are what health is made of.
type Checks struct {
	Probe      func(context.Context) error // nil when the driver can be used, ErrNotReady when it answers
	Registered func() error                // why the kubelet does not know the driver; nil for nobody who should
}

// Handler answers 200 or, with the reason as text, 503. LivePath: the process answers, on its CSI socket too; restarting it
// would not help otherwise. ReadyPath: the driver can be used, and the kubelet knows it.
func Handler(c Checks) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+LivePath, answer(c.live))
	mux.Handle("GET "+ReadyPath, answer(c.ready))
	return mux
}

func (c Checks) live(ctx context.Context) error {
	if err := c.Probe(ctx); err != nil && !errors.Is(err, ErrNotReady) {
		return err
	}
	return nil
}

func (c Checks) ready(ctx context.Context) error {
	if err := c.Probe(ctx); err != nil || c.Registered == nil {
		return err
	}
	return c.Registered()
}

func answer(check func(context.Context) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := check(ctx); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprintln(w, "ok")
	})
}
