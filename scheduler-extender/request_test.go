package extender

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
)

// understood is what is read of a body, for comparison.
type understood struct {
	Pod    Pod
	Whole  bool
	Nodes  []string
	Labels []map[string]string // of whole nodes
}

// read is the reader's understanding of a body.
func read(body []byte) (understood, error) {
	r, err := parseRequest(body, nil)
	if err != nil {
		return understood{}, err
	}
	u := understood{Pod: r.pod, Whole: r.whole}
	for at, name := range r.nodes {
		u.Nodes = append(u.Nodes, string(name))
		if r.whole {
			var n corev1.Node
			_ = json.Unmarshal(r.items[at], &n)
			u.Labels = append(u.Labels, n.Labels)
		}
	}
	return u, nil
}

// expected is the same by Kubernetes' own types and encoding/json, which is how kube-scheduler would read it.
func expected(body []byte) (u understood, err error) {
	var args extenderv1.ExtenderArgs
	if err := json.Unmarshal(body, &args); err != nil {
		return u, err
	}
	if args.Pod == nil || args.Pod.Name == "" || args.Pod.Namespace == "" || args.Pod.UID == "" || (args.Nodes == nil) == (args.NodeNames == nil) {
		return u, errRequest
	}
	p := args.Pod
	u.Pod = Pod{UID: string(p.UID), Name: p.Namespace + "/" + p.Name}
	for _, v := range p.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			u.Pod.Claims = append(u.Pod.Claims, p.Namespace+"/"+v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil:
			u.Pod.Claims = append(u.Pod.Claims, u.Pod.Name+"-"+v.Name)
		}
	}
	if args.NodeNames != nil {
		u.Nodes = *args.NodeNames
		return u, nil
	}
	u.Whole = true
	for _, n := range args.Nodes.Items {
		u.Nodes, u.Labels = append(u.Nodes, n.Name), append(u.Labels, n.Labels)
	}
	return u, nil
}

func same(a, b understood) bool {
	left, _ := json.Marshal(a)
	right, _ := json.Marshal(b)
	return bytes.Equal(bytes.ReplaceAll(left, []byte("null"), []byte("[]")), bytes.ReplaceAll(right, []byte("null"), []byte("[]")))
}

func requestBodies(t testing.TB) (all [][]byte) {
	names := []string{"a", "ip-10-0-0-1.eu-central-1.compute.internal", `q"uo\te`, "ü", "", "a/b\n", " "}
	var nodes corev1.NodeList
	for _, name := range names {
		nodes.Items = append(nodes.Items, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"of": name}}})
	}
	ephemeral := schedulersPod("p", "data", "wal")
	ephemeral.Spec.Volumes = append(ephemeral.Spec.Volumes, corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}})
	none := []string{}
	for _, args := range []*extenderv1.ExtenderArgs{
		{Pod: schedulersPod("p"), NodeNames: &none}, {Pod: schedulersPod("p", "data"), NodeNames: &names}, {Pod: ephemeral, NodeNames: &names},
		{Pod: schedulersPod("p"), Nodes: &corev1.NodeList{}}, {Pod: ephemeral, Nodes: &nodes},
	} {
		body, err := json.Marshal(args)
		if err != nil {
			t.Fatal(err)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, body, "\r", "\t"); err != nil {
			t.Fatal(err)
		}
		all = append(all, body, indented.Bytes())
	}
	return all
}

func TestRequestsAreReadAsKubernetesReadsThem(t *testing.T) {
	for _, body := range requestBodies(t) {
		got, err := read(body)
		want, failed := expected(body)
		if err != nil || failed != nil || !same(got, want) {
			t.Errorf("%.300s\nis read as %+v (%v), want %+v (%v)", body, got, err, want, failed)
		}
		for end := range body[:len(body)-1] { // what is cut off is never taken for the whole
			if r, err := parseRequest(body[:end], nil); err == nil && len(bytes.TrimSpace(body[end:])) > 0 {
				t.Fatalf("%d of %d bytes of %.300s are read as %+v", end, len(body), body, r)
			}
		}
	}
}

// FuzzRequest: what is read is what encoding/json reads into kube-scheduler's types, and what it cannot read is refused.
func FuzzRequest(f *testing.F) {
	for _, body := range requestBodies(f) {
		f.Add(body)
	}
	for _, text := range []string{
		`{"NodeNames":["\u0061\/"],"Pod":{"metadata":{"uid":"u","name":"n","namespace":"s"}},"more":[{"}":"]"}]}`,
		`{"Nodes":{"metadata":{},"items":[{"metadata":{"name":"a"}},{}]},"Pod":{"metadata":{"uid":"u","name":"n","namespace":"s"},"spec":{"volumes":null}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := read(body)
		want, failed := expected(body)
		switch {
		case err == nil && failed == nil && !same(got, want) && !otherCase(body):
			t.Errorf("%s\nis read as %+v, want %+v", body, got, want)
		case err == nil && !json.Valid(body):
			t.Errorf("%s\nis read as %+v, and is no JSON", body, got)
		case err != nil && failed == nil && !stricter(body, err):
			t.Errorf("%s\nis refused (%v), and is %+v", body, err, want)
		}
	})
}

// otherCase says whether a name is written in another case than Kubernetes', which encoding/json takes for the same.
func otherCase(body []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	known := []string{"Pod", "Nodes", "NodeNames", "metadata", "name", "namespace", "uid", "labels", "spec", "volumes", "persistentVolumeClaim", "claimName", "ephemeral", "items"}
	for {
		token, err := d.ReadToken()
		if err != nil {
			return false
		}
		text := token.String()
		if slices.ContainsFunc(known, func(k string) bool { return k != text && strings.EqualFold(k, text) }) {
			return true
		}
	}
}

// stricter says whether a body is refused for what encoding/json lets pass: members that are there twice or in another case,
// names that are null or no UTF-8, more nesting or nodes than anyone needs.
func stricter(body []byte, err error) bool {
	return errors.Is(err, jsontext.ErrDuplicateName) || strings.Contains(err.Error(), "is there twice") || otherCase(body) ||
		!utf8.Valid(body) || bytes.Contains(body, []byte(`\u`)) || bytes.Contains(body, []byte("null")) || errors.Is(err, errNodes)
}

func TestPlainEndsAtWhatCannotStandForItself(t *testing.T) {
	for b := range 256 {
		for at := range 20 {
			text := bytes.Repeat([]byte{'a'}, 24)
			text[at] = byte(b)
			want := len(text)
			if b < ' ' || b >= 0x80 || b == '"' || b == '\\' {
				want = at
			}
			if got := plain(text); got != want {
				t.Fatalf("%q: %d, want %d", text, got, want)
			}
		}
	}
}

func TestAnswersAreReadAsTheyWereMeant(t *testing.T) {
	names := []string{"a", `q"uo\te`, "ü", "b"}
	long := strings.Repeat("ü", maxReason)
	r := request{nodes: bytesOf(names)}
	a := Answer{Fits: []int{0, 2}, Refused: []Refused{{1, 0}, {3, 1}}, Reasons: []string{`no "room"`, long}}
	var result extenderv1.ExtenderFilterResult
	if err := json.Unmarshal(r.appendResult(nil, a), &result); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(*result.NodeNames, []string{"a", "ü"}) || result.Nodes != nil || result.Error != "" || len(result.FailedNodes) > 0 {
		t.Errorf("%+v, want a and ü", result)
	}
	if why := result.FailedAndUnresolvableNodes; len(why) != 2 || why[names[1]] != a.Reasons[0] || why["b"] != long[:maxReason] {
		t.Errorf("refused %q, want why, with %d bytes at most", why, maxReason)
	}
	var list extenderv1.HostPriorityList
	if err := json.Unmarshal(r.appendScores(nil, []int64{0, 10, 3, 7}), &list); err != nil || len(list) != 4 || list[1] != (extenderv1.HostPriority{Host: names[1], Score: 10}) {
		t.Errorf("%v, %v; want four scores", list, err)
	}
	var empty extenderv1.ExtenderFilterResult
	if err := json.Unmarshal(request{}.appendResult(nil, Answer{}), &empty); err != nil || empty.NodeNames == nil || len(*empty.NodeNames) > 0 {
		t.Errorf("%+v, %v; want no node, said by name", empty, err)
	}
}
