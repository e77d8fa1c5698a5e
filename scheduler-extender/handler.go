package extender

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
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
	buffers sync.Pool // of *bytes.Buffer: bodies and answers are most of what a request allocates
}

// NewHandler answers from an index.
func NewHandler(index *Index, log *slog.Logger) http.Handler {
	return newHandler(index, &metrics{}, log)
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
func (h *handler) serve(verb string, answer func(*http.Request, request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		begun, code := time.Now(), http.StatusOK
		body := h.buffer()
		defer h.recycle(body)
		if err := h.answer(w, r, answer, body); err != nil {
			code = http.StatusInternalServerError
			if refused, ok := errors.AsType[refusal](err); ok {
				code = refused.code
			}
			http.Error(w, err.Error(), code)
			h.log.WarnContext(r.Context(), "a request was refused", "verb", verb, "code", code, "from", r.RemoteAddr, "error", err)
		} else {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
			_, _ = w.Write(body.Bytes()) // if it fails, whoever asked has gone
		}
		h.metrics.answered(verb, code, time.Since(begun))
	}
}

// buffer is an empty one.
func (h *handler) buffer() *bytes.Buffer {
	if b, ok := h.buffers.Get().(*bytes.Buffer); ok {
		return b
	}
	return &bytes.Buffer{}
}

// recycle takes a buffer back that nobody uses any more. The few that are very large are not kept.
func (h *handler) recycle(b *bytes.Buffer) {
	if b.Cap() <= largeBody {
		b.Reset()
		h.buffers.Put(b)
	}
}

// answer writes what there is to say. An error comes before anything is written.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, answer func(*http.Request, request) any, to *bytes.Buffer) error {
	if !h.index.IsReady() {
		return refusal{http.StatusServiceUnavailable, errors.New("not ready: still reading what there is")}
	}
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return refusal{http.StatusServiceUnavailable, fmt.Errorf("%d requests are being answered", maxWaiting)}
	}
	asked, err := h.read(w, r)
	if err != nil {
		return err
	}
	return json.MarshalWrite(to, answer(r, asked))
}

// read reads a request, a large one when it is its turn.
func (h *handler) read(w http.ResponseWriter, r *http.Request) (request, error) {
	if r.ContentLength < 0 || r.ContentLength > largeBody {
		select {
		case h.large <- struct{}{}:
			defer func() { <-h.large }()
		case <-r.Context().Done():
			return request{}, refusal{http.StatusServiceUnavailable, r.Context().Err()}
		}
	}
	body := h.buffer()
	defer h.recycle(body)
	body.Grow(int(min(max(0, r.ContentLength), largeBody)) + bytes.MinRead)
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return request{}, refusal{http.StatusRequestEntityTooLarge, fmt.Errorf("more than %d bytes; kube-scheduler sends names alone with nodeCacheCapable: true", tooLarge.Limit)}
	}
	if err != nil {
		return request{}, refusal{http.StatusBadRequest, fmt.Errorf("reading the request: %w", err)}
	}
	asked, err := parseRequest(body.Bytes())
	if err != nil {
		return request{}, refusal{http.StatusBadRequest, err}
	}
	return asked, nil
}

func (h *handler) filter(r *http.Request, asked request) any {
	a := h.index.Filter(r.Context(), asked.pod, asked.nodes)
	h.metrics.told(len(a.Fits), len(a.Refused))
	h.log.DebugContext(r.Context(), "filtered", "pod", asked.pod.Name, "nodes", len(asked.nodes), "fit", len(a.Fits), "reasons", a.Reasons)
	return asked.result(a)
}

func (h *handler) prioritize(_ *http.Request, asked request) any {
	all := make([]hostPriority, 0, len(asked.nodes))
	for at, score := range h.index.Prioritize(asked.pod, asked.nodes) {
		all = append(all, hostPriority{asked.nodes[at], score})
	}
	return all
}
