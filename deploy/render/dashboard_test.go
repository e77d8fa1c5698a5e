package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	grafana "github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	corev1 "k8s.io/api/core/v1"
)

const dashboardFile = "../helm/loam/dashboard.json"

// board is what the tests look at of Grafana's JSON.
type board struct {
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
	Panels []struct {
		ID                       int
		Type, Title, Description string
		Datasource               struct{ UID string }
		GridPos                  struct{ X, Y, W, H int }
		FieldConfig              struct{ Defaults struct{ Unit string } }
		Targets                  []struct {
			Expr, RefID, LegendFormat string
			Datasource                struct{ UID string }
		}
	}
}

func readDashboard(t *testing.T) (b board) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDashboardIsUpToDate(t *testing.T) {
	want, err := dashboard()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(dashboardFile); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what panels.go gives (%v): make manifests", dashboardFile, err)
	}
}

func TestPanelsSayWhatTheyShowAndOverlapNowhere(t *testing.T) {
	ids, titles, cells := map[int]string{}, map[string]bool{}, map[[2]int]string{}
	for _, p := range readDashboard(t).Panels {
		if p.ID == 0 || ids[p.ID] != "" || p.Title == "" || titles[p.Title] {
			t.Errorf("panel %d, %q: its number or title is another's, too, or missing", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = p.Title, true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if cells[[2]int{x, y}] != "" || x >= full {
					t.Fatalf("%q is where %q is, or too far to the right", p.Title, cells[[2]int{x, y}])
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%q: expected a description, a unit, the chosen data source and a query: %+v", p.Title, p)
		}
		for _, q := range p.Targets {
			if q.RefID == "" || q.Datasource.UID != "${datasource}" || strings.Contains(q.Expr, "@") {
				t.Errorf("%q: %+v", p.Title, q)
			}
			if p.Type == "timeseries" && q.LegendFormat == "" {
				t.Errorf("%q: a line without a legend", p.Title)
			}
		}
	}
}

func TestDashboardAsksForMetricsAndVariablesThatThereAre(t *testing.T) {
	b := readDashboard(t)
	var expressions []string
	known := map[string]bool{"__rate_interval": true}
	for _, v := range b.Templating.List {
		known[v.Name] = true
		expressions = append(expressions, v.Query)
	}
	if len(b.Templating.List) == 0 || b.Templating.List[0].Type != "datasource" {
		t.Error("the first variable is not the data source, on which the others depend")
	}
	for _, p := range b.Panels {
		for _, q := range p.Targets {
			expressions = append(expressions, q.Expr)
		}
	}
	wantMetrics(t, expressions)
	for _, name := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(strings.Join(expressions, " "), -1) {
		if !known[name[1]] {
			t.Errorf("there is no variable %s", name[1])
		}
	}
}

func TestDashboardIsInTheChartWhenAskedFor(t *testing.T) {
	h := chart(t)
	const name = "loam-dashboard"
	find := func(set ...string) *corev1.ConfigMap {
		text, err := h.template(t.Context(), set...)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range decode(t, text) {
			if c, ok := o.(*corev1.ConfigMap); ok && c.Name == name {
				return c
			}
		}
		return nil
	}
	if find() != nil {
		t.Error("it is there without being asked for")
	}
	want, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	c := find("monitoring.dashboard.enabled=true")
	if c == nil {
		t.Fatal("it is not there")
	}
	if c.Labels["grafana_dashboard"] != "1" || strings.TrimSpace(c.Data["loam.json"]) != strings.TrimSpace(string(want)) {
		t.Errorf("labels %v, %d bytes, want %d", c.Labels, len(c.Data["loam.json"]), len(want))
	}
}

// classic is the form of dashboards that Grafana imports from files and ConfigMaps.
type classic = grafana.Dashboard //nolint:staticcheck // its successor is for Grafana's own API

// TestDashboardIsOneOfGrafana reads it strictly with the types that Grafana publishes: a key or a kind that Grafana does not know is an error.
func TestDashboardIsOneOfGrafana(t *testing.T) {
	known := cog.NewRuntime()
	known.RegisterPanelcfgVariant(stat.VariantConfig())
	known.RegisterPanelcfgVariant(table.VariantConfig())
	known.RegisterPanelcfgVariant(timeseries.VariantConfig())
	known.RegisterDataqueryVariant(prometheus.VariantConfig())
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var board classic
	if said := mistakes(&board, text); said != "" {
		t.Fatal(said)
	}
	for _, known := range []string{`"legendFormat"`, `"fillOpacity"`, `"gridPos"`, `"refresh"`} {
		if mistakes(new(classic), bytes.Replace(text, []byte(known), []byte(`"unheardOf"`), 1)) == "" {
			t.Errorf("with a key that nobody knows instead of %s it is read all the same", known)
		}
	}
	if err := board.Validate(); err != nil {
		t.Error(err)
	}
	for _, p := range board.Panels {
		if p.Panel == nil {
			continue // a row
		}
		if _, ok := p.Panel.FieldConfig.Defaults.Custom.(*timeseries.FieldConfig); p.Panel.Type == "timeseries" && !ok {
			t.Errorf("%q has %T for its lines", *p.Panel.Title, p.Panel.FieldConfig.Defaults.Custom)
		}
		for _, q := range p.Panel.Targets {
			if _, ok := q.(prometheus.Dataquery); !ok {
				t.Errorf("%q asks with %T, which is none of Prometheus'", *p.Panel.Title, q)
			}
		}
	}
}

// mistakes are what is wrong with a dashboard; "" for nothing, of which its types make an error that says nothing.
func mistakes(b *classic, text []byte) string {
	if err := b.UnmarshalJSONStrict(text); err != nil {
		return err.Error()
	}
	return ""
}
