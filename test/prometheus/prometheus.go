// Package prometheus runs a real Prometheus, Debian's, for tests that live in a folder of test/.
package prometheus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Repository is where this module is, for a test in a folder of test/.
const Repository = "../.."

// Alerts is the file with the alerts that the chart ships.
const Alerts = Repository + "/deploy/helm/loam/alerts.yaml"

// Options are what a Prometheus is started with.
type Options struct {
	Rules   string            // file of rules
	Targets map[string]string // host:port by instance, which is also the name of the container
}

// Server is a running one. It stops when its test ends.
type Server struct{ address string }

// Start starts one that asks its targets each second, with the labels that the chart's PodMonitors give.
func Start(t testing.TB, o Options) Server {
	t.Helper()
	program, rules := absolute(t, Repository+"/.cache/prometheus/usr/bin/prometheus"), absolute(t, o.Rules)
	if _, err := os.Stat(program); err != nil {
		t.Skipf("needs Prometheus: test/setup.sh tests (%v)", err)
	}
	config := "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [" + rules + "]\nscrape_configs:\n"
	for name, address := range o.Targets {
		config += fmt.Sprintf("- job_name: loam-system/loam-%s\n  honor_labels: true\n  static_configs:\n  - targets: [%s]\n    labels: {instance: %[1]s, namespace: loam-system, pod: pod-of-%[1]s, container: %[1]s}\n", name, address)
	}
	dir, s := t.TempDir(), Server{FreeAddress(t)}
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+s.address, "--log.level=warn")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("prometheus: %s", said.String())
		}
	})
	s.waitUntilReady(t)
	return s
}

func absolute(t testing.TB, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (s Server) waitUntilReady(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get("http://" + s.address + "/-/ready")
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("Prometheus does not get ready: %v", err)
		}
	}
}

// FreeAddress is a host:port on which nobody listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// get asks its HTTP API, and decodes data.
func (s Server) get(t testing.TB, path string, values url.Values, data any) {
	t.Helper()
	answer, err := http.Get("http://" + s.address + path + "?" + values.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	whole := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err = errors.Join(err, json.Unmarshal(text, &whole)); err != nil || whole.Status != "success" {
		t.Fatalf("%v: %s %v", values, whole.Error, err)
	}
}

// Series is one result of a query.
type Series struct{ Metric map[string]string }

// Query is the series that an expression has now.
func (s Server) Query(t testing.TB, expr string) []Series {
	t.Helper()
	var data struct{ Result []Series }
	s.get(t, "/api/v1/query", url.Values{"query": {expr}}, &data)
	return data.Result
}

// Line is a series over time: a value for each step, nil where there is none, or none that is a number.
type Line struct {
	Labels map[string]string
	Values []*float64
}

// Span is a time that ends now, in steps.
type Span struct {
	Step  time.Duration
	Steps int
}

// QueryRange is what an expression gave during the span.
func (s Server) QueryRange(t testing.TB, expr string, during Span) (all []Line) {
	t.Helper()
	end := time.Now().Truncate(during.Step)
	start := end.Add(-time.Duration(during.Steps-1) * during.Step)
	var data struct {
		Result []struct {
			Metric map[string]string
			Values [][2]json.RawMessage // seconds, and a number as a string
		}
	}
	s.get(t, "/api/v1/query_range", url.Values{
		"query": {expr}, "start": {fmt.Sprint(start.Unix())}, "end": {fmt.Sprint(end.Unix())}, "step": {fmt.Sprint(during.Step.Seconds())},
	}, &data)
	for _, r := range data.Result {
		line := Line{r.Metric, make([]*float64, during.Steps)}
		for _, sample := range r.Values {
			at, err := strconv.ParseFloat(string(sample[0]), 64)
			if err != nil {
				t.Fatal(err)
			}
			v, err := strconv.ParseFloat(strings.Trim(string(sample[1]), `"`), 64)
			if i := int((at - float64(start.Unix())) / during.Step.Seconds()); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
				line.Values[i] = &v
			}
		}
		all = append(all, line)
	}
	return all
}

var variable = regexp.MustCompile(`\$\w+`)

// Chosen is a query of the dashboard as Grafana asks it when everything is chosen.
func Chosen(expr string) string {
	return variable.ReplaceAllString(strings.ReplaceAll(expr, "$__rate_interval", "1m"), ".*")
}

// Alert is one that is pending or firing.
type Alert struct {
	Labels, Annotations map[string]string
	State               string
}

// Rule is one alert's rule, and how it fares.
type Rule struct {
	Name, Query, Health, State string
	Alerts                     []Alert
}

// Rules are all that it has.
func (s Server) Rules(t testing.TB) (all []Rule) {
	t.Helper()
	var data struct{ Groups []struct{ Rules []Rule } }
	s.get(t, "/api/v1/rules", nil, &data)
	for _, g := range data.Groups {
		all = append(all, g.Rules...)
	}
	return all
}
