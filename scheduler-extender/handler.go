package extender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// maxBody bounds a request. The names of 5,000 nodes are 200 kB, whole Node objects 50 MB.
	maxBody = 64 << 20
	// largeBody is what whole Node objects of a large cluster begin at. Few such requests are read at a time.
	largeBody  = 4 << 20
	maxLarge   = 2
	maxWaiting = 256 // requests at a time
)

// handler answers kube-scheduler: POST /filter and POST /prioritize.
type handler struct {
	index   *Index
	metrics *metrics
	log     *slog.Logger
	large   chan struct{}
	waiting chan struct{}
	memory  sync.Pool // of *exchange
}

// exchange is what one request and its answer need of memory. It is used again: otherwise it would be most of what is
// allocated, and the garbage collector, which has the whole cluster to look at, would come round every few pods.
type exchange struct {
	body       bytes.Buffer
	names      [][]byte // in the body
	candidates candidates
	answer     []byte
}

// NewHandler answers from an index.
func NewHandler(index *Index, log *slog.Logger) http.Handler {
	return newHandler(index, newMetrics(index, ""), log)
}

func newHandler(index *Index, m *metrics, log *slog.Logger) http.Handler {
	h := &handler{index: index, metrics: m, log: log, large: make(chan struct{}, maxLarge), waiting: make(chan struct{}, maxWaiting)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /filter", h.serve("filter", h.filter))
	mux.HandleFunc("POST /prioritize", h.serve("prioritize", h.prioritize))
	return mux
}

// refusal is an answer other than 200. kube-scheduler shows the code alone; the text is for whoever looks closer.
type refusal struct {
	code int
	err  error
}

func (r refusal) Error() string { return r.err.Error() }

// serve answers one verb.
func (h *handler) serve(verb string, answer func(context.Context, request, *exchange) []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		begun, code := time.Now(), http.StatusOK
		x := h.exchange()
		defer h.recycle(x)
		if err := h.answer(w, r, answer, x); err != nil {
			code = http.StatusInternalServerError
			if refused, ok := errors.AsType[refusal](err); ok {
				code = refused.code
			}
			http.Error(w, err.Error(), code)
			h.log.WarnContext(r.Context(), "a request was refused", "verb", verb, "code", code, "from", r.RemoteAddr, "error", err)
		} else {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(len(x.answer)))
			_, _ = w.Write(x.answer) // if it fails, whoever asked has gone
		}
		h.metrics.answered(verb, code, time.Since(begun))
	}
}

// exchange is an empty one.
func (h *handler) exchange() *exchange {
	if x, ok := h.memory.Get().(*exchange); ok {
		return x
	}
	return &exchange{}
}

// recycle takes one back that nobody uses any more. The few that are very large are not kept.
func (h *handler) recycle(x *exchange) {
	if x.body.Cap()+cap(x.answer) <= largeBody {
		x.body.Reset()
		h.memory.Put(x)
	}
}

// answer makes the answer, of a large request when it is its turn. With an error there is none.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, answer func(context.Context, request, *exchange) []byte, x *exchange) error {
	if !h.index.IsReady() {
		return refusal{http.StatusServiceUnavailable, errors.New("not ready: still reading what there is")}
	}
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return refusal{http.StatusServiceUnavailable, fmt.Errorf("%d requests are being answered", maxWaiting)}
	}
	if r.ContentLength < 0 || r.ContentLength > largeBody {
		select {
		case h.large <- struct{}{}:
			defer func() { <-h.large }()
		case <-r.Context().Done():
			return refusal{http.StatusServiceUnavailable, r.Context().Err()}
		}
	}
	asked, err := h.read(w, r, x)
	if err != nil {
		return err
	}
	x.candidates.ask(asked.nodes)
	x.answer = answer(r.Context(), asked, x)
	return nil
}

// read reads a request.
func (h *handler) read(w http.ResponseWriter, r *http.Request, x *exchange) (request, error) {
	x.body.Grow(int(min(max(0, r.ContentLength), largeBody)) + bytes.MinRead)
	_, err := x.body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return request{}, refusal{http.StatusRequestEntityTooLarge, fmt.Errorf("more than %d bytes; kube-scheduler sends names alone with nodeCacheCapable: true", tooLarge.Limit)}
	}
	if err != nil {
		return request{}, refusal{http.StatusBadRequest, fmt.Errorf("reading the request: %w", err)}
	}
	asked, err := parseRequest(x.body.Bytes(), x.names)
	if err != nil {
		return request{}, refusal{http.StatusBadRequest, err}
	}
	if !asked.whole {
		x.names = asked.nodes
	}
	return asked, nil
}

func (h *handler) filter(ctx context.Context, asked request, x *exchange) []byte {
	a := h.index.filter(ctx, asked.pod, &x.candidates)
	h.metrics.told(len(a.Fits), len(a.Refused))
	h.log.DebugContext(ctx, "filtered", "pod", asked.pod.Name, "nodes", len(asked.nodes), "fit", len(a.Fits), "reasons", a.Reasons)
	return asked.appendResult(x.answer[:0], a)
}

func (h *handler) prioritize(_ context.Context, asked request, x *exchange) []byte {
	return asked.appendScores(x.answer[:0], h.index.prioritize(asked.pod, &x.candidates))
}
