package lifecycle

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/loam-storage/loam/controller"
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
	"github.com/loam-storage/loam/test/prometheus"
)

// nothingToTell are the panels that rightly have nothing to show in this test, and why.
func nothingToTell() map[string]string {
	all := map[string]string{
		"What a person should know of": "nothing is wrong with the pool",
		"LVM's commands that failed":   "none fails",
		"Pods that wait for IO":        "there are no pods",
		"What nobody names":            "a controller looks after an hour for the first time",
		"Volumes with something wrong": "no agent can be reached by the controller, so that nothing is known",
	}
	if _, err := os.Stat("/proc/pressure/io"); err != nil {
		all["Nodes that wait for IO"] = "this kernel does not tell"
	}
	return all
}

func TestDashboardAndAlertsAskARealPrometheusOfARealAgent(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	agentAddress, controllerAddress := prometheus.FreeAddress(t), prometheus.FreeAddress(t)
	agent := nodetest.Start(t, nodetest.Options{
		Config: nodetest.OnePool("thin", disk) + "- {name: nowhere, devices: {paths: [/dev/no-such-disk]}}\n", Health: agentAddress,
		Cluster: fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodetest.NodeID}}),
	})
	startController(t, controllerAddress)
	req := nodetest.Request("v", "ext4", 512*lvm.MiB)
	req.Parameters = map[string]string{"csi.storage.k8s.io/pvc/name": "data", "csi.storage.k8s.io/pvc/namespace": "db"}
	v := agent.Create(t, req)
	mounted := agent.Mount(t, v, "ext4")
	_, err := csi.NewControllerClient(agent.Conn).ControllerGetVolume(t.Context(), &csi.ControllerGetVolumeRequest{VolumeId: nodetest.NodeID + "/none"})
	if err == nil {
		t.Error("there is a volume that nobody made")
	}
	p := prometheus.Start(t, prometheus.Options{
		Rules: prometheus.Alerts, Targets: map[string]string{"agent": agentAddress, "controller": controllerAddress},
	})
	panels := panels(t)
	var empty []string
	for i, deadline := 0, time.Now().Add(90*time.Second); ; i++ {
		nodetest.Write(t, filepath.Join(mounted, fmt.Sprintf("file-%d", i%100)), 2*lvm.MiB) // the pool grows, and there is IO
		if _, err := agent.Admin.Pools(t.Context()); err != nil {                           // it looks at them, or does so by itself some seconds later
			t.Fatal(err)
		}
		empty = slices.DeleteFunc(slices.Sorted(maps.Keys(panels)), func(title string) bool {
			return !slices.ContainsFunc(panels[title], func(expr string) bool { return len(p.Query(t, expr)) == 0 }) || nothingToTell()[title] != ""
		})
		if len(empty) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("these panels show nothing: %q", empty)
		}
		time.Sleep(time.Second)
	}
	for title, why := range nothingToTell() {
		if panels[title] == nil {
			t.Errorf("there is no panel %q, of which is said that %s", title, why)
		}
	}
	if len(p.Query(t, `loam_volume_filesystem_used_bytes{namespace="db",persistentvolumeclaim="data",instance="agent",pod="pod-of-agent"} > 0`)) != 1 {
		t.Error("a volume is not known by its claim's namespace and its agent's labels")
	}
	wantRules(t, p)
	agent.Unmount(t, v)
	agent.Delete(t, v)
}

// startController runs a real controller, of a cluster in memory with one node whose agent is away.
func startController(t *testing.T, address string) {
	t.Helper()
	const namespace = "loam-system"
	client := fake.NewClientset(
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "agent-1", Namespace: namespace, Labels: map[string]string{"app.kubernetes.io/name": "loam", "app.kubernetes.io/component": "agent"}},
			Spec:       corev1.PodSpec{NodeName: "n1"},
		})
	socket := filepath.Join(t.TempDir(), "csi.sock")
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- controller.Run(ctx, controller.Options{
			Client: client, Namespace: namespace, Socket: socket, AgentPort: 1, Version: "test", HealthAddress: address,
			Credentials: insecure.NewCredentials(), Log: slog.New(slog.DiscardHandler),
		})
	}()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the controller ended with %v", err)
		}
	})
	if _, err := csi.NewIdentityClient(conn).GetPluginInfo(ctx, &csi.GetPluginInfoRequest{}); err != nil {
		t.Error(err)
	}
	if _, err := csi.NewControllerClient(conn).ControllerGetVolume(ctx, &csi.ControllerGetVolumeRequest{VolumeId: "n1/v"}); err == nil {
		t.Error("an agent that is away has answered")
	}
}

// panels are the expressions of the dashboard's panels by title, as Grafana asks them when everything is chosen.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(prometheus.Repository, "deploy/helm/loam/dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			all[p.Title] = append(all[p.Title], prometheus.Chosen(q.Expr))
		}
	}
	return all
}

// wantRules checks that Prometheus evaluates all alerts and knows each metric that they ask for, and that the one alert that should
// be under way is.
func wantRules(t *testing.T, p prometheus.Server) {
	t.Helper()
	rules := p.Rules(t)
	for _, r := range rules {
		state := "inactive"
		if r.Name == "LoamPoolNotReady" {
			state = "pending" // for ten minutes
		}
		if r.Health != "ok" || r.State != state {
			t.Errorf("%s is %s and %s, want ok and %s", r.Name, r.Health, r.State, state)
		}
		for _, metric := range regexp.MustCompile(`loam_[a-z_]+`).FindAllString(r.Query, -1) {
			rightlyAbsent := metric == "loam_pool_condition" || metric == "loam_controller_orphans" // nothing is wrong with the pool; it is looked for after an hour
			if !rightlyAbsent && len(p.Query(t, metric)) == 0 {
				t.Errorf("%s asks for %s, which nobody tells", r.Name, metric)
			}
		}
	}
	if len(rules) < 16 {
		t.Errorf("there are %d alerts", len(rules))
	}
}
