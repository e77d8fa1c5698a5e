package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

func forbidden(resource string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "x", errors.New("no"))
}

func TestAgentsThatDoNotAnswerAreToldBesideTheOthers(t *testing.T) {
	answers := map[string]func(context.Context) ([]byte, error){
		"well":    func(context.Context) ([]byte, error) { return json.Marshal(report("well")) },
		"newer":   func(context.Context) ([]byte, error) { return []byte(`{"info":{"node":"id","x":1},"new":[{}]}`), nil },
		"garbage": func(context.Context) ([]byte, error) { return []byte("<html>"), nil },
		"nobody":  func(context.Context) ([]byte, error) { return []byte("{}"), nil },
		"failed":  func(context.Context) ([]byte, error) { return nil, errors.New("no agent answers on SOCKET") },
		"late":    func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
	}
	o := Objects{Nodes: []corev1.Node{nodeObject("dead")}}
	o.Nodes[0].Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Message: "Kubelet stopped posting node status."}
	o.Own = append(o.Own, ownPod("controller", "c", "well"), ownPod("agent", "pod-dead", "dead"), waiting(ownPod("agent", "pod-down", "down"), "CrashLoopBackOff"))
	for node := range answers {
		o.Own = append(o.Own, ownPod("agent", "pod-"+node, node))
	}
	c := Client{Kubernetes: permitting(true), Patience: 50 * time.Millisecond, Exec: func(ctx context.Context, in Container, command ...string) ([]byte, error) {
		if got := strings.Join(command, " "); in.Name != "agent" || got != "loam report --timeout 50ms" {
			t.Errorf("%v was asked for %q", in, got)
		}
		return answers[strings.TrimPrefix(in.Pod, "pod-")](ctx)
	}}
	want := map[string]string{
		"well": "", "newer": "", "garbage": "cannot be read", "nobody": "names no node", "failed": "no agent answers on SOCKET",
		"late": "no answer within 50ms", "dead": "the node is away: Kubelet stopped", "down": "its pod waits: container agent: CrashLoopBackOff",
	}
	agents := c.Ask(context.Background(), o, "")
	if len(agents) != len(want) {
		t.Fatalf("%d agents, want %d", len(agents), len(want))
	}
	for _, a := range agents {
		if !strings.Contains(a.Problem, want[a.Node]) || (a.Report != nil) != (want[a.Node] == "") || a.Refused || a.Away != (a.Node == "dead" || a.Node == "down") || a.Crashes != (a.Node == "down") {
			t.Errorf("%s: %+v; want %q", a.Node, a, want[a.Node])
		}
		if a.Node == "newer" && (a.ID() != "id" || a.Report.Pools != nil) {
			t.Errorf("newer: ID %q and pools %v; want its own name, and no pools known", a.ID(), a.Report.Pools)
		}
	}
	if one := c.Ask(context.Background(), o, "well"); len(one) != 1 || one[0].Node != "well" {
		t.Errorf("asked on node well: %+v", one)
	}
}

func TestNoAgentIsAskedWhereThatIsNotPermitted(t *testing.T) {
	c := Client{Kubernetes: permitting(false), Namespace: "loam-system", Exec: func(context.Context, Container, ...string) ([]byte, error) {
		t.Error("a command was run")
		return nil, nil
	}}
	agents := c.Ask(context.Background(), well().Objects, "")
	if len(agents) != 2 || !agents[0].Refused || agents[0].Problem != "commands in its pod are not permitted to you (create pods/exec in namespace loam-system): no role" {
		t.Errorf("%+v; want both refused, with the reason", agents)
	}
}

// permitting is a cluster in which commands in pods are permitted, or not.
func permitting(allowed bool) *fake.Clientset {
	client := fake.NewClientset()
	client.PrependReactor("create", "selfsubjectaccessreviews", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, &authorizationv1.SelfSubjectAccessReview{Status: authorizationv1.SubjectAccessReviewStatus{Allowed: allowed, Reason: "no role"}}, nil
	})
	return client
}

func TestOfTwoPodsOnANodeTheOneThatStaysIsAsked(t *testing.T) {
	old, next := ownPod("agent", "old", "k1"), ownPod("agent", "next", "k1")
	next.CreationTimestamp = metav1.NewTime(now)
	for _, pods := range [][]corev1.Pod{{old, next}, {next, old}} {
		if got := agentPods(pods, ""); len(got) != 1 || got[0].Name != "next" {
			t.Errorf("asked %v, want next alone", got)
		}
	}
	at := metav1.NewTime(now)
	next.DeletionTimestamp = &at
	if got := agentPods([]corev1.Pod{next, old}, ""); got[0].Name != "old" {
		t.Errorf("asked %s, which is being deleted", got[0].Name)
	}
}

func TestFindLearnsTheNamespace(t *testing.T) {
	set := func(namespace string) runtime.Object {
		return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: namespace, Labels: map[string]string{"app.kubernetes.io/name": "loam", labelComponent: componentAgent}}}
	}
	for _, c := range []struct {
		objects []runtime.Object
		given   string
		want    string
		fails   string
	}{
		{objects: []runtime.Object{set("storage")}, want: "storage"},
		{objects: []runtime.Object{set("a"), set("b")}, given: "b", want: "b"},
		{objects: []runtime.Object{set("a"), set("b")}, fails: "namespaces a and b all have agents"},
		{objects: []runtime.Object{set("a")}, given: "shop", fails: "Loam is not installed there"},
		{fails: "Loam is not installed there"},
	} {
		client := Client{Kubernetes: fake.NewClientset(c.objects...), Namespace: c.given}
		err := client.Find(context.Background())
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%+v: %v; want %q", c, err, c.fails)
			}
			continue
		}
		if err != nil || client.Namespace != c.want {
			t.Errorf("%+v: namespace %q, %v; want %q", c, client.Namespace, err, c.want)
		}
	}
}

func TestWhatMayNotBeReadIsAGapAndTheRestIsRead(t *testing.T) {
	n := nodeObject("k1")
	kubernetes := fake.NewClientset(&n)
	kubernetes.PrependReactor("list", "persistentvolumes", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, forbidden("persistentvolumes")
	})
	client := Client{Kubernetes: kubernetes, Namespace: "loam-system"}
	o := client.Read(context.Background(), StatusKinds()...)
	if len(o.Nodes) != 1 || len(o.Gaps) != 1 || o.Gaps[0].What != string(Persistent) || !strings.Contains(o.Gaps[0].Why, "forbidden") {
		t.Errorf("%d nodes, gaps %+v; want one node, and the PersistentVolumes", len(o.Nodes), o.Gaps)
	}
}

func FuzzParseReport(f *testing.F) {
	good, err := json.Marshal(report("k1", onDisk("k1", made("1"), "shop/data")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"info":{"node":"k1"},"pools":null}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if r, err := parseReport(answer); err == nil {
			Assess(Survey{Agents: []Agent{{Node: "k1", Report: r}}, Now: now})
		}
	})
}
