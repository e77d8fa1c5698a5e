package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// ErrStarting says that an agent that just started does not know its disks, pools and volumes yet.
var ErrStarting = errors.New("pools are being brought up")

// Source is what the agent knows. Its methods are called concurrently, and should not wait for a change that runs.
// Errors: ErrStarting, which is answered with 503; any other with 500.
type Source interface {
	Info() Info
	Disks(context.Context) ([]Disk, error)
	Pools(context.Context) ([]Pool, error)
	Volumes(context.Context) ([]Volume, error)
	// Restoration is about the pool of that name.
	Restoration(ctx context.Context, pool string) (Restoration, error)
}

// The paths that Handler serves.
const (
	infoPath    = "/v1/info"
	disksPath   = "/v1/disks"
	poolsPath   = "/v1/pools"
	volumesPath = "/v1/volumes"
	healthPath  = "/healthz"
)

// restorationPath is below a pool's name.
func restorationPath(pool string) string { return poolsPath + "/" + pool + "/restoration" }

// failure is the body of every answer that is not 200.
type failure struct {
	Error string `json:"error"`
}

// Handler serves a source: GET /v1/info, /v1/disks, /v1/pools, /v1/pools/NAME/restoration, /v1/volumes, and /healthz, which answers as long as the
// agent serves. Lists are never null. Anything else is 404, 405, or 400 for a query, which none of these takes.
func Handler(s Source) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(infoPath, get(func(*http.Request) (any, error) { return s.Info(), nil }))
	mux.Handle(disksPath, get(func(r *http.Request) (any, error) {
		disks, err := list(s.Disks(r.Context()))
		for i := range disks {
			disks[i].Links, _ = list(disks[i].Links, nil)
		}
		return disks, err
	}))
	mux.Handle(poolsPath, get(func(r *http.Request) (any, error) {
		pools, err := list(s.Pools(r.Context()))
		for i := range pools {
			pools[i].Devices, _ = list(pools[i].Devices, nil)
			pools[i].Healed, _ = list(pools[i].Healed, nil)
			pools[i].Conditions, _ = list(pools[i].Conditions, nil)
		}
		return pools, err
	}))
	mux.Handle(volumesPath, get(func(r *http.Request) (any, error) {
		volumes, err := list(s.Volumes(r.Context()))
		for i := range volumes {
			volumes[i].Mounts, _ = list(volumes[i].Mounts, nil)
		}
		return volumes, err
	}))
	mux.Handle(restorationPath("{pool}"), get(func(r *http.Request) (any, error) {
		plan, err := s.Restoration(r.Context(), r.PathValue("pool"))
		plan.Devices, _ = list(plan.Devices, nil)
		plan.Commands, _ = list(plan.Commands, nil)
		return plan, err
	}))
	mux.Handle(healthPath, get(func(*http.Request) (any, error) { return map[string]string{"status": "ok"}, nil }))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusNotFound, failure{fmt.Sprintf("no such path: %.80q", r.URL.Path)})
	})
	return mux
}

// get answers GET and HEAD with what ask returns.
func get(ask func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			answer(w, http.StatusMethodNotAllowed, failure{"only GET is served here: CSI changes volumes"})
			return
		case r.URL.RawQuery != "":
			answer(w, http.StatusBadRequest, failure{fmt.Sprintf("%s takes no query", r.URL.Path)})
			return
		}
		body, err := ask(r)
		if errors.Is(err, ErrStarting) {
			answer(w, http.StatusServiceUnavailable, failure{err.Error()})
			return
		}
		if err != nil {
			answer(w, http.StatusInternalServerError, failure{err.Error()})
			return
		}
		answer(w, http.StatusOK, body)
	})
}

// list is values with null made an empty list, in a copy of its own.
func list[T any](values []T, err error) ([]T, error) {
	return append([]T{}, values...), err
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// An error here is a client that hung up: there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(body)
}
