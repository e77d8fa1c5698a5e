package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const alertsFile = "../helm/loam/alerts.yaml"

// alerts are the names and the expressions of the rules.
func alerts(t *testing.T) (names, expressions []string) {
	t.Helper()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.UnmarshalStrict(text, &struct{ Groups any }{}); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			names, expressions = append(names, r.Alert), append(expressions, r.Expr)
		}
	}
	return names, expressions
}

// promtool is Debian's, which test/setup.sh unpacks.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(root, ".cache", "prometheus", "usr", "bin", "promtool")
	if _, err := os.Stat(program); err != nil {
		t.Skipf("needs promtool: test/setup.sh tests (%v)", err)
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestAlertsAreRaisedWhenTheyShould(t *testing.T) {
	promtool(t, "check", "rules", alertsFile)
	promtool(t, "test", "rules", "testdata/alerts_test.yaml")
	names, _ := alerts(t)
	tests, err := os.ReadFile("testdata/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if n := strings.Count(string(tests), "alertname: "+name+"\n"); n < 2 {
			t.Errorf("%s is tested %d times, expected once where it is raised and once where it is not", name, n)
		}
	}
}

func TestAlertsAskForMetricsThatThereAre(t *testing.T) {
	_, expressions := alerts(t)
	wantMetrics(t, expressions)
}

// wantMetrics checks that what is asked for is in the reference.
func wantMetrics(t *testing.T, expressions []string) {
	t.Helper()
	reference := metricsReference()
	for _, metric := range regexp.MustCompile(`loam_[a-z_]+`).FindAllString(strings.Join(expressions, " "), -1) {
		name := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(metric, "")
		if !strings.Contains(reference, "`"+metric+"`") && !strings.Contains(reference, "`"+name+"` | histogram") {
			t.Errorf("nobody tells %s", metric)
		}
	}
}

func TestMonitoringIsThereWhenAskedFor(t *testing.T) {
	h := chart(t)
	found := func(set ...string) (kinds []string, rules any) {
		text, err := h.template(t.Context(), set...)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "\n---\n") {
			var o unstructured.Unstructured
			if err := yaml.Unmarshal([]byte(part), &o.Object); err != nil {
				t.Fatal(err)
			}
			if o.GetAPIVersion() == "monitoring.coreos.com/v1" {
				kinds = append(kinds, o.GetKind()+" "+o.GetLabels()["release"])
				if o.GetKind() == "PrometheusRule" {
					rules, _, _ = unstructured.NestedSlice(o.Object, "spec", "groups")
				}
			}
		}
		return kinds, rules
	}
	if kinds, _ := found(); len(kinds) > 0 {
		t.Errorf("by default there are %q", kinds)
	}
	if kinds, _ := found("monitoring.podMonitor.enabled=true", "schedulerExtender.enabled=true"); len(kinds) != 3 {
		t.Errorf("with the scheduler extender there are %q, want a PodMonitor more", kinds)
	}
	kinds, rules := found("monitoring.podMonitor.enabled=true", "monitoring.podMonitor.labels.release=a", "monitoring.alerts.enabled=true", "monitoring.alerts.labels.release=b")
	slices.Sort(kinds)
	names, _ := alerts(t)
	groups, ok := rules.([]any)
	if !slices.Equal(kinds, []string{"PodMonitor a", "PodMonitor a", "PrometheusRule b"}) || !ok || len(groups) != 1 {
		t.Fatalf("there are %q, with %d groups of rules", kinds, len(groups))
	}
	if all, _, _ := unstructured.NestedSlice(groups[0].(map[string]any), "rules"); len(all) != len(names) {
		t.Errorf("%d rules, want %d", len(all), len(names))
	}
}
