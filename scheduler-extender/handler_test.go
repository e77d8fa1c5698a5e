package extender

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
)

// schedulersPod is a pod as kube-scheduler sends it.
func schedulersPod(name string, claims ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", UID: types.UID("uid-" + name)}}
	for _, c := range claims {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: c, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c},
		}})
	}
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}})
	p.Spec.Containers = []corev1.Container{{Name: "c", Image: "image"}}
	return p
}

func post(t testing.TB, h http.Handler, verb string, args any, answer any) (code int, text string) {
	t.Helper()
	body, ok := args.([]byte)
	if !ok {
		var err error
		if body, err = json.Marshal(args); err != nil {
			t.Fatal(err)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/"+verb, bytes.NewReader(body)))
	if w.Code == http.StatusOK && answer != nil {
		if err := json.Unmarshal(w.Body.Bytes(), answer); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
	}
	return w.Code, w.Body.String()
}

func served(t testing.TB) (*world, http.Handler) {
	w := newWorld(t)
	w.offer("a", "fast", "fast 10")
	w.offer("b", "fast", "fast 20")
	w.claim("data", "fast", 15)
	w.claim("small", "fast", 1)
	return w, NewHandler(w.Index, slog.New(slog.DiscardHandler))
}

func TestKubeSchedulersTypesAreSpoken(t *testing.T) {
	_, h := served(t)
	names := []string{"a", "b"}
	var result extenderv1.ExtenderFilterResult
	code, _ := post(t, h, "filter", &extenderv1.ExtenderArgs{Pod: schedulersPod("p", "data"), NodeNames: &names}, &result)
	if code != 200 || result.NodeNames == nil || !slices.Equal(*result.NodeNames, []string{"b"}) || result.Nodes != nil || result.Error != "" {
		t.Errorf("%d: %+v, want b by its name", code, result)
	}
	if why := result.FailedAndUnresolvableNodes; len(why) != 1 || !strings.Contains(why["a"], "cannot give a volume as large as") || len(result.FailedNodes) > 0 {
		t.Errorf("refused: %v, %v; want a, unresolvably", why, result.FailedNodes)
	}
	var list extenderv1.HostPriorityList
	code, _ = post(t, h, "prioritize", &extenderv1.ExtenderArgs{Pod: schedulersPod("p", "small"), NodeNames: &names}, &list)
	if want := (extenderv1.HostPriorityList{{Host: "a", Score: 0}, {Host: "b", Score: extenderv1.MaxExtenderPriority}}); code != 200 || !slices.Equal(list, want) {
		t.Errorf("%d: %v, want %v", code, list, want)
	}
}

func TestWholeNodesComeBackWhole(t *testing.T) {
	_, h := served(t)
	var nodes corev1.NodeList
	for _, name := range []string{"a", "b"} {
		nodes.Items = append(nodes.Items, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"zone": name}}})
	}
	var result extenderv1.ExtenderFilterResult
	code, _ := post(t, h, "filter", &extenderv1.ExtenderArgs{Pod: schedulersPod("p", "data"), Nodes: &nodes}, &result)
	if code != 200 || result.Nodes == nil || len(result.Nodes.Items) != 1 || result.Nodes.Items[0].Labels["zone"] != "b" || result.NodeNames != nil {
		t.Errorf("%d: %+v, want node b with its labels", code, result)
	}
	var list extenderv1.HostPriorityList
	if code, _ = post(t, h, "prioritize", &extenderv1.ExtenderArgs{Pod: schedulersPod("p", "small"), Nodes: &nodes}, &list); code != 200 || len(list) != 2 {
		t.Errorf("%d: %v, want two scores", code, list)
	}
}

func TestEphemeralVolumesAreClaims(t *testing.T) {
	w, h := served(t)
	p := schedulersPod("p")
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}})
	names := []string{"a", "b"}
	var before, after extenderv1.ExtenderFilterResult
	post(t, h, "filter", &extenderv1.ExtenderArgs{Pod: p, NodeNames: &names}, &before)
	w.claim("p-scratch", "fast", 15)
	post(t, h, "filter", &extenderv1.ExtenderArgs{Pod: p, NodeNames: &names}, &after)
	if len(*before.NodeNames) != 0 || before.FailedAndUnresolvableNodes["a"] != `claim "p-scratch" does not exist, or not yet` || !slices.Equal(*after.NodeNames, []string{"b"}) {
		t.Errorf("%+v, then %+v; want nowhere before there is a claim, and b then", before, after)
	}
}

func TestNonsenseIsRefusedWithTheReason(t *testing.T) {
	_, h := served(t)
	names := []string{"a"}
	nameless := schedulersPod("p", "data")
	nameless.Name = ""
	for _, c := range []struct {
		name string
		args any
		code int
		says string
	}{
		{"empty", []byte{}, 400, "unexpected EOF"},
		{"no JSON", []byte("pod"), 400, "invalid character"},
		{"half", []byte(`{"Pod":{`), 400, "unexpected EOF"},
		{"another type", []byte(`{"Pod":[]}`), 400, "unmarshal JSON array"}, // the library says "cannot" or "unable to", as chance has it
		{"null", []byte("null"), 400, "'{' was expected"},
		{"nothing in it", []byte("{}"), 400, "Pod is missing"},
		{"a pod that is null", []byte(`{"Pod":null,"NodeNames":["a"]}`), 400, "Pod is missing"},
		{"two pods", []byte(`{"Pod":null,"Pod":null}`), 400, `"Pod" is there twice`},
		{"names that are none", []byte(`{"Pod":{},"NodeNames":[1]}`), 400, "invalid character '1'"},
		{"names that are no list", []byte(`{"Pod":{},"NodeNames":"a"}`), 400, "NodeNames is no list"},
		{"names that do not end", []byte(`{"Pod":{},"NodeNames":["a`), 400, "unexpected EOF"},
		{"too many names", []byte(`{"Pod":{},"NodeNames":["a"` + strings.Repeat(`,"a"`, maxNodes) + `]}`), 400, "more than 50000 nodes"},
		{"too many nodes", []byte(`{"Pod":{"metadata":{"name":"p","namespace":"n","uid":"u"}},"Nodes":{"items":[{}` + strings.Repeat(`,{}`, maxNodes) + `]}}`), 400, "more than 50000 nodes"},
		{"nodes and names", []byte(`{"Pod":{"metadata":{"name":"p","namespace":"n","uid":"u"}},"Nodes":{"items":[]},"NodeNames":[]}`), 400, "both there"},
		{"something after it", []byte(`{"Pod":{}} {}`), 400, "the end was expected"},
		{"no pod", &extenderv1.ExtenderArgs{NodeNames: &names}, 400, "Pod is missing"},
		{"a pod without a name", &extenderv1.ExtenderArgs{Pod: nameless, NodeNames: &names}, 400, "needs a name"},
		{"no nodes", &extenderv1.ExtenderArgs{Pod: schedulersPod("p", "data")}, 400, "neither NodeNames nor Nodes"},
		{"nodes that are none", []byte(`{"Pod":{"metadata":{"name":"p","namespace":"n","uid":"u"}},"Nodes":{"items":[1]}}`), 400, "Nodes: items[0]"},
		{"too much", append([]byte(`{"Pod":"`), bytes.Repeat([]byte{'a'}, maxBody)...), 413, "nodeCacheCapable"},
	} {
		for _, verb := range []string{"filter", "prioritize"} {
			if code, text := post(t, h, verb, c.args, nil); code != c.code || !strings.Contains(text, c.says) {
				t.Errorf("%s of %s: %d %.200s, want %d and %q", verb, c.name, code, text, c.code, c.says)
			}
		}
	}
	for _, request := range []struct {
		method, path string
		code         int
	}{{http.MethodGet, "/filter", 405}, {http.MethodPost, "/bind", 404}, {http.MethodPost, "/", 404}} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), request.method, request.path, nil))
		if w.Code != request.code {
			t.Errorf("%s %s: %d, want %d", request.method, request.path, w.Code, request.code)
		}
	}
}

func TestNothingIsAnsweredBeforeAllIsKnown(t *testing.T) {
	index := NewIndex()
	h, health := NewHandler(index, slog.New(slog.DiscardHandler)), healthHandler(index, newMetrics(index, ""))
	get := func(path string) int {
		w := httptest.NewRecorder()
		health.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w.Code
	}
	names := []string{"a"}
	args := &extenderv1.ExtenderArgs{Pod: schedulersPod("p"), NodeNames: &names}
	if code, _ := post(t, h, "filter", args, nil); code != 503 || get("/readyz") != 503 || get("/healthz") != 200 {
		t.Errorf("filter %d, readyz %d, healthz %d; want 503, 503, 200", code, get("/readyz"), get("/healthz"))
	}
	index.Ready()
	if code, _ := post(t, h, "filter", args, nil); code != 200 || get("/readyz") != 200 {
		t.Errorf("when ready: filter %d, readyz %d; want 200", code, get("/readyz"))
	}
}

// Whatever the claims are called and however many nodes there are, an answer has a bound, and its reasons are few.
func TestAnswersAreBounded(t *testing.T) {
	w := newWorld(t)
	var names, claims []string
	for i := range 20 {
		claims = append(claims, fmt.Sprintf("%s-%d", strings.Repeat("n", 240), i))
		w.claim(claims[i], "fast", 1)
	}
	for i := range 5000 {
		names = append(names, fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", i/250, i%250))
		w.offer(names[i], "fast", "fast 10")
	}
	h := NewHandler(w.Index, slog.New(slog.DiscardHandler))
	var result extenderv1.ExtenderFilterResult
	_, text := post(t, h, "filter", &extenderv1.ExtenderArgs{Pod: schedulersPod("p", claims...), NodeNames: &names}, &result)
	different := map[string]bool{}
	for _, why := range result.FailedAndUnresolvableNodes {
		different[why] = true
	}
	if len(text) > 2*maxReasons || len(different) != 1 || len(*result.NodeNames) != 0 {
		t.Errorf("%d bytes, %d reasons, %d nodes; want half a MiB at most, one reason and no node", len(text), len(different), len(*result.NodeNames))
	}
}

func TestMetricsCountWhatWasAnswered(t *testing.T) {
	w, _ := served(t)
	m := newMetrics(w.Index, "v1")
	h := newHandler(w.Index, m, slog.New(slog.DiscardHandler))
	names := []string{"a", "b"}
	post(t, h, "filter", &extenderv1.ExtenderArgs{Pod: schedulersPod("p", "data"), NodeNames: &names}, nil)
	post(t, h, "filter", &extenderv1.ExtenderArgs{Pod: schedulersPod("q", "none"), NodeNames: &names}, nil)
	post(t, h, "prioritize", []byte("nonsense"), nil)
	scrape := httptest.NewRecorder()
	healthHandler(w.Index, m).ServeHTTP(scrape, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	out := scrape.Body.String()
	for _, known := range Metrics() {
		if !strings.Contains(out, "# TYPE "+known.Name+" "+string(known.Kind)) {
			t.Errorf("no %s %s, which is documented", known.Kind, known.Name)
		}
	}
	for _, line := range []string{
		`loam_extender_requests_total{code="200",verb="filter"} 2`,
		`loam_extender_requests_total{code="400",verb="prioritize"} 1`,
		`loam_extender_request_seconds_count{verb="filter"} 2`,
		`loam_extender_request_seconds_bucket{verb="filter",le="+Inf"} 2`,
		`loam_extender_nodes_offered_total 1`, `loam_extender_nodes_refused_total 3`, `loam_extender_pods_nowhere_total 1`,
		`loam_extender_pods_in_placement 1`, `loam_build_info{version="v1"} 1`, `loam_extender_nodes 2`, `loam_extender_claims 2`,
	} {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("no line %q in\n%s", line, out)
		}
	}
}

func TestAnAnswerLogsNothing(t *testing.T) {
	w, _ := served(t)
	var out bytes.Buffer
	h := NewHandler(w.Index, slog.New(slog.NewTextHandler(&out, nil)))
	names := []string{"a", "b", "x"}
	for _, claim := range []string{"data", "none"} {
		post(t, h, "filter", &extenderv1.ExtenderArgs{Pod: schedulersPod("p", claim), NodeNames: &names}, nil)
	}
	if out.Len() > 0 {
		t.Errorf("logged %s, want nothing but at the level debug", &out)
	}
}

// FuzzHandler: whatever is sent, there is an answer, and no node fits that was not asked about.
func FuzzHandler(f *testing.F) {
	names := []string{"a", "b"}
	for _, args := range []*extenderv1.ExtenderArgs{
		{Pod: schedulersPod("p", "data"), NodeNames: &names},
		{Pod: schedulersPod("p", "small", "none"), Nodes: &corev1.NodeList{Items: []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "a"}}}}},
		{Pod: schedulersPod("p")}, {NodeNames: &names}, {},
	} {
		body, err := json.Marshal(args)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`{"pod":{"metadata":{"name":"p","namespace":"ns","uid":"u"},"spec":{"volumes":[{"ephemeral":{}},null]}},"nodenames":["a","a",""]}`))
	w, h := served(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		var result extenderv1.ExtenderFilterResult
		code, text := post(t, h, "filter", body, nil)
		if code != 200 {
			if code != 400 || text == "" {
				t.Errorf("%d %q, want 400 with a reason", code, text)
			}
			return
		}
		if err := json.NewDecoder(strings.NewReader(text)).Decode(&result); err != nil {
			if result.Nodes == nil && !strings.Contains(text, `"Nodes"`) {
				t.Errorf("kube-scheduler cannot read %s: %v", text, err)
			}
			return // nodes that make no sense go back as they came
		}
		asked, err := parseRequest(body, nil)
		if err != nil {
			t.Fatalf("answered, and cannot be read: %v", err)
		}
		if result.NodeNames != nil {
			for _, name := range *result.NodeNames {
				if !slices.ContainsFunc(asked.nodes, func(n []byte) bool { return string(n) == name }) {
					t.Errorf("%q fits, of %q", name, asked.nodes)
				}
			}
		}
		if code, text := post(t, h, "prioritize", body, nil); code != 200 {
			t.Errorf("prioritize: %d %s after a filter that was answered", code, text)
		}
		w.Change(func(c *Change) { c.settled = append(c.settled, settledAll(asked.pod)...) })
	})
}
