package extender

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// load places pods as kube-scheduler does, so many at a time. As it runs on the extender's processors, it does little itself:
// requests are made before they are sent, and of answers it looks for what it has to know.
type load struct {
	x               *running
	api             *apiServer
	first           int // pod
	nodes, together int

	took     []time.Duration // of each pod, in order
	answered int             // bytes, of the last
}

func (l *load) run(t *testing.T) {
	var all []string
	for n := range l.nodes {
		all = append(all, nodeName(n*(figureNodes/l.nodes)))
	}
	names, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var pods [][]byte
	for n := range figurePods {
		pods = append(pods, realPod(t, l.first+n))
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	var next atomic.Int64
	for range l.together {
		asks := l.connect(t)
		work.Go(func() {
			for n := next.Add(1) - 1; n < figurePods; n = next.Add(1) - 1 {
				took, size, err := asks.place(pods[n], names)
				if err != nil {
					t.Error(err)
					return
				}
				for k := range len(classNames) {
					l.api.send("persistentvolumeclaims", event("MODIFIED", pending(l.first+int(n), k, asks.chosen)))
				}
				mu.Lock()
				l.took, l.answered = append(l.took, took), size
				mu.Unlock()
			}
		})
	}
	work.Wait()
	if slices.Sort(l.took); len(l.took) < figurePods {
		t.Fatalf("%d of %d pods were answered", len(l.took), figurePods)
	}
}

// connection is one to the extender, kept as kube-scheduler keeps its own.
type connection struct {
	net.Conn
	in     *bufio.Reader
	answer bytes.Buffer
	chosen string // the node with the highest score
}

func (l *load) connect(t *testing.T) *connection {
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.x.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &connection{Conn: c, in: bufio.NewReaderSize(c, 1<<20)}
}

// place asks where a pod fits, and which of those nodes is best. It returns how long both answers took together.
func (c *connection) place(pod, names []byte) (took time.Duration, answered int, err error) {
	took, err = c.ask("/filter", pod, names)
	if err != nil {
		return 0, 0, err
	}
	fit, good := bytes.CutPrefix(c.answer.Bytes(), []byte(`{"NodeNames":`))
	end := bytes.IndexByte(fit, ']') + 1
	if !good || end <= len("[]") {
		return 0, 0, fmt.Errorf("a pod fits nowhere: %.200s", c.answer.Bytes())
	}
	answered = c.answer.Len()
	second, err := c.ask("/prioritize", pod, bytes.Clone(fit[:end]))
	if err != nil {
		return 0, 0, err
	}
	const host = `{"Host":"`
	text := c.answer.Bytes()
	best := max(bytes.Index(text, []byte(`,"Score":10}`)), bytes.IndexByte(text, ',')) // the only one has no 10
	from := bytes.LastIndex(text[:best], []byte(host)) + len(host)
	c.chosen = string(text[from : best-1])
	return took + second, answered + len(text), nil
}

// ask sends a request (extender/v1, ExtenderArgs) and keeps the answer.
func (c *connection) ask(path string, pod, names []byte) (time.Duration, error) {
	const before, between, after = `{"Pod":`, `,"Nodes":null,"NodeNames":`, `}`
	size := len(before) + len(pod) + len(between) + len(names) + len(after)
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: extender\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"+before, path, size)
	request := net.Buffers{head, pod, []byte(between), names, []byte(after)}
	begun := time.Now()
	if _, err := request.WriteTo(c.Conn); err != nil {
		return 0, err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	c.answer.Reset()
	_, err = io.Copy(&c.answer, answer.Body)
	took := time.Since(begun)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d, %.200s", path, answer.StatusCode, c.answer.Bytes())
	}
	return took, err
}

// realPod is a pod with three claims and what else kube-scheduler sends of one: 4 kB.
func realPod(t *testing.T, number int) []byte {
	p := schedulersPod(fmt.Sprint("pod-", number), pendingName(number, 0), pendingName(number, 1), pendingName(number, 2))
	p.ObjectMeta = stored(p.ObjectMeta)
	p.Labels = map[string]string{"app.kubernetes.io/name": "database", "apps.kubernetes.io/pod-index": fmt.Sprint(number)}
	probe := &corev1.Probe{PeriodSeconds: 10, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}}}
	p.Spec.Containers = nil
	for c := range 3 {
		of := corev1.Container{Name: fmt.Sprint("c", c), Image: "registry.example/database@sha256:0123456789abcdef", LivenessProbe: probe, ReadinessProbe: probe}
		for e := range 10 {
			of.Env = append(of.Env, corev1.EnvVar{Name: fmt.Sprint("SETTING_", e), Value: "a value of some length"})
		}
		of.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("1Gi")}
		p.Spec.Containers = append(p.Spec.Containers, of)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
