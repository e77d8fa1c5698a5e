package health

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestHealthIsWhatItsChecksSay(t *testing.T) {
	broken := errors.New("broken")
	returns := func(err error) func() error { return func() error { return err } }
	for name, c := range map[string]struct {
		probe      error
		registered func() error
		live       int
		ready      int
	}{
		"starting":           {ErrNotReady, returns(errors.New("not asked")), 200, 503},
		"not registered yet": {nil, returns(errors.New("not asked")), 200, 503},
		"registered":         {nil, returns(nil), 200, 200},
		"standalone":         {nil, nil, 200, 200},
		"standalone, early":  {ErrNotReady, nil, 200, 503},
		"does not answer":    {broken, returns(nil), 503, 503},
	} {
		h := Handler(Checks{Probe: func(context.Context) error { return c.probe }, Registered: c.registered})
		for path, want := range map[string]int{LivePath: c.live, ReadyPath: c.ready} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Code != want || w.Body.Len() == 0 {
				t.Errorf("%s: %s is %d %q; want %d with a reason", name, path, w.Code, w.Body, want)
			}
		}
	}
}

func TestOnlyQuestionsAreServed(t *testing.T) {
	h := Handler(Checks{Probe: func(context.Context) error { return nil }})
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/", http.StatusNotFound},
		{http.MethodGet, "/v1/volumes", http.StatusNotFound},
		{http.MethodPost, LivePath, http.StatusMethodNotAllowed},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.want {
			t.Errorf("%s %s is %d; want %d", c.method, c.path, w.Code, c.want)
		}
	}
}

// identity answers Probe; a nil answer leaves the field away.
type identity struct {
	csi.UnimplementedIdentityServer
	ready *wrapperspb.BoolValue
}

func (i identity) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: i.ready}, nil
}

func TestProbeReadsTheAnswerAsTheSpecificationSays(t *testing.T) {
	for name, c := range map[string]struct {
		ready *wrapperspb.BoolValue
		want  error
	}{
		"ready":     {wrapperspb.Bool(true), nil},
		"not ready": {wrapperspb.Bool(false), ErrNotReady},
		"unsaid":    {nil, nil},
	} {
		socket := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer()
		csi.RegisterIdentityServer(server, identity{ready: c.ready})
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(l) }()
		driver, err := NewDriver(socket)
		if err != nil {
			t.Fatal(err)
		}
		if err := driver.Probe(context.Background()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
		driver.Close()
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestProbeOfNobodyFails(t *testing.T) {
	driver, err := NewDriver(filepath.Join(t.TempDir(), "none"))
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	if err := driver.Probe(context.Background()); err == nil || errors.Is(err, ErrNotReady) {
		t.Errorf("got %v; want an error of the connection", err)
	}
}
