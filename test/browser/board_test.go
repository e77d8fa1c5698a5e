package browser

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/loam-storage/loam/test/prometheus"
)

//go:embed board.html.tmpl
var boardText string

// board is what is drawn of Grafana's JSON.
type board struct {
	Title      string
	Templating struct {
		List []struct{ Label, Type string }
	}
	Panels []boardPanel
}

type boardPanel struct {
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct {
		Defaults struct{ Unit, NoValue string }
	}
	Targets []struct{ Expr, LegendFormat string }
}

// answers are what a real Prometheus said to each query, for as long as the capture took (test/lifecycle/capture_test.go).
type answers map[string][]prometheus.Line

func readBoard(t *testing.T) (b board, a answers) {
	t.Helper()
	for path, value := range map[string]any{filepath.Join(prometheus.Repository, "deploy/helm/loam/dashboard.json"): &b, "testdata/dashboard.json": &a} {
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return b, a
}

// shown are the rows of which there are pictures. That of the controller needs a cluster.
var shown = map[string][]string{
	"dashboard":     {"Overview", "Pools", "Volumes, by claim"},
	"dashboard-lvm": {"LVM and CSI"},
}

func TestDashboardIsDrawn(t *testing.T) {
	b, a := readBoard(t)
	for _, p := range b.Panels {
		for _, q := range p.Targets {
			if _, asked := a[prometheus.Chosen(q.Expr)]; !asked {
				t.Errorf("%q has a query that Prometheus was not asked: make testdata pictures", p.Title)
			}
		}
	}
	c := start(t)
	for name, rows := range shown {
		path, height := b.draw(t, a, rows...)
		c.open(path, view{"light", boardWidth, height, false})
		for _, complaint := range c.complaints(path) {
			t.Errorf("%s: %s", name, complaint)
		}
		var touching []string
		c.evaluate(touch, &touching)
		for _, pair := range touching {
			t.Errorf("%s: %s", name, pair)
		}
	}
}

// touch finds texts that are on one another, or not within their panel.
const touch = `[...document.querySelectorAll("section")].flatMap(panel => {
	const outer = panel.getBoundingClientRect()
	const all = [...panel.querySelectorAll("text, span")].map(e => [e.textContent, e.getBoundingClientRect()])
	return all.flatMap(([text, a], i) => [
		...(a.left < outer.left || a.right > outer.right || a.top < outer.top || a.bottom > outer.bottom ? [text + " is outside of its panel"] : []),
		...all.slice(i + 1).filter(([, b]) => a.left < b.right && b.left < a.right && a.top + 1 < b.bottom && b.top + 1 < a.bottom).map(([other]) => text + " is on " + other)])
})`

// The picture's measures, in pixels.
const (
	boardWidth = 1360
	cellHeight = 36
	gap        = 8
	left       = 62 // of it are the labels of the vertical axis
	right      = 12
	legendRow  = 14
	letter     = 5.7 // of a legend, on the average
)

// drawnPanel is a panel in the template.
type drawnPanel struct {
	Kind, Title string
	X, Y, W, H  int

	Number  string
	Columns []string
	Cells   [][]string

	Plot, Legend  int // the plot's height, and the width of each name in the legend
	Lines         []drawnLine
	Across, Times []drawnTick
}

type drawnLine struct {
	Name, Colour, Dash string
	Points             []string // of each stretch without a gap
}

type drawnTick struct {
	X2, Y, TextX, TextY int
	Text                string
}

// draw writes a page with some rows of the dashboard.
func (b board) draw(t *testing.T, a answers, rows ...string) (path string, height int) {
	t.Helper()
	page := struct {
		Title, Time  string
		Variables    []struct{ Name, Value string }
		Height, Left int
		Panels       []drawnPanel
	}{Title: b.Title, Time: "Last 10 minutes", Left: left}
	for _, v := range b.Templating.List {
		value := "All"
		if v.Type == "datasource" {
			value = "prometheus"
		}
		page.Variables = append(page.Variables, struct{ Name, Value string }{v.Label, value})
	}
	wanted, top := false, -1
	for _, p := range b.Panels {
		if p.Type == "row" {
			wanted = slices.Contains(rows, p.Title)
		}
		if !wanted {
			continue
		}
		if top < 0 {
			top = p.GridPos.Y
		}
		p.GridPos.Y -= top
		drawn := p.draw(a)
		page.Panels = append(page.Panels, drawn)
		page.Height = max(page.Height, drawn.Y+drawn.H)
	}
	var text bytes.Buffer
	if err := template.Must(template.New("board").Parse(boardText)).Execute(&text, page); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "board.html")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, page.Height + 45 + 2*gap
}

func (p boardPanel) draw(a answers) drawnPanel {
	column := float64(boardWidth-2*gap+gap) / 24
	d := drawnPanel{
		Kind: p.Type, Title: p.Title, X: int(float64(p.GridPos.X) * column), Y: p.GridPos.Y * cellHeight,
		W: int(float64(p.GridPos.W)*column) - gap, H: p.GridPos.H*cellHeight - gap,
	}
	var names []string
	var lines []prometheus.Line
	for _, q := range p.Targets {
		for _, line := range a[prometheus.Chosen(q.Expr)] {
			names, lines = append(names, legend(q.LegendFormat, line.Labels)), append(lines, line)
		}
	}
	switch p.Type {
	case "stat":
		d.Number = p.FieldConfig.Defaults.NoValue
		if len(lines) > 0 {
			if v := last(lines[0]); v != nil {
				d.Number = number(*v, scaleOf(p.FieldConfig.Defaults.Unit, *v))
			}
		}
	case "table":
		d.table(lines)
	case "timeseries":
		d.plot(p.FieldConfig.Defaults.Unit, names, lines)
	}
	return d
}

func last(l prometheus.Line) *float64 { return l.Values[len(l.Values)-1] }

// legend fills labels in.
func legend(format string, labels map[string]string) string {
	return regexp.MustCompile(`{{(\w+)}}`).ReplaceAllStringFunc(format, func(s string) string { return labels[strings.Trim(s, "{}")] })
}

// table has a row for each series that there is now, and a column for each label.
func (d *drawnPanel) table(lines []prometheus.Line) {
	lines = slices.DeleteFunc(slices.Clone(lines), func(l prometheus.Line) bool { return last(l) == nil })
	columns := map[string]bool{}
	for _, l := range lines {
		for name := range l.Labels {
			columns[name] = true
		}
	}
	d.Columns = slices.Sorted(maps.Keys(columns))
	for _, l := range lines {
		var cells []string
		for _, name := range d.Columns {
			cells = append(cells, l.Labels[name])
		}
		d.Cells = append(d.Cells, cells)
	}
	slices.SortFunc(d.Cells, slices.Compare)
}

// colours of lines, one after the other.
var colours = []string{"#1f6fb2", "#d9741a", "#2f8f5b", "#b5372f", "#7a58a6", "#8a6a3b", "#c65a9b", "#4d5963", "#9a9a1f", "#2aa3b3"}

// plot draws lines over time, from 0.
func (d *drawnPanel) plot(unit string, names []string, lines []prometheus.Line) {
	if len(lines) == 0 {
		return
	}
	longest := 0
	for _, name := range names {
		longest = max(longest, len(name))
	}
	each := max(1, (d.W-22)/int(float64(longest)*letter+26))
	rows := (len(names) + each - 1) / each
	d.Legend = (d.W - 22) / each
	d.Plot = d.H - 24 - rows*legendRow - 8
	bottom, most := d.Plot-20, 0.0
	for _, l := range lines {
		for _, v := range l.Values {
			if v != nil {
				most = max(most, *v)
			}
		}
	}
	scale, ticks := axisOf(unit, most)
	high := ticks[len(ticks)-1]
	y := func(v float64) float64 { return float64(bottom) - v/high*float64(bottom-8) }
	for _, at := range ticks {
		d.Across = append(d.Across, drawnTick{X2: d.W - right, Y: int(y(at)), TextX: left - 6, TextY: int(y(at)) + 3, Text: number(at, scale)})
	}
	width := d.W - left - right
	for i, text := range []string{"−10 min", "−8 min", "−6 min", "−4 min", "−2 min", "now"} {
		d.Times = append(d.Times, drawnTick{TextX: left + i*width/5 - 4*(i/5), TextY: bottom + 14, Text: text})
	}
	for i, l := range lines {
		line := drawnLine{Name: names[i], Colour: colours[i%len(colours)]}
		var points []string
		for at := 0; at <= len(l.Values); at++ {
			if at < len(l.Values) && l.Values[at] != nil {
				points = append(points, fmt.Sprintf("%.1f,%.1f", left+float64(at)/float64(len(l.Values)-1)*float64(width), y(*l.Values[at])))
			} else if len(points) > 0 {
				line.Points, points = append(line.Points, strings.Join(points, " ")), nil
			}
		}
		d.Lines = append(d.Lines, line)
	}
}

// scale is how values of a unit are written: divided, and with a word.
type scale struct {
	by   float64
	word string
}

// scales of units, by Grafana's names for them, the largest first.
var scales = map[string][]scale{
	"bytes":       {{1 << 40, " TiB"}, {1 << 30, " GiB"}, {1 << 20, " MiB"}, {1 << 10, " KiB"}, {1, " B"}},
	"Bps":         {{1e9, " GB/s"}, {1e6, " MB/s"}, {1e3, " kB/s"}, {1, " B/s"}},
	"percentunit": {{0.01, "%"}},
	"s":           {{86400, " days"}, {3600, " h"}, {60, " min"}, {1, " s"}, {1e-3, " ms"}, {1e-6, " µs"}},
	"iops":        {{1e3, "K io/s"}, {1, " io/s"}},
	"ops":         {{1, " ops/s"}},
	"reqps":       {{1, " req/s"}},
	"short":       {{1e6, " Mil"}, {1e3, " K"}, {1, ""}},
}

func scaleOf(unit string, v float64) scale {
	all := scales[unit]
	for _, s := range all {
		if v >= s.by {
			return s
		}
	}
	if v == 0 && unit == "s" {
		return scale{1, " s"}
	}
	return all[len(all)-1]
}

// number has three digits, or as many as it has before the point.
func number(v float64, s scale) string {
	if v /= s.by; v >= 100 {
		return fmt.Sprintf("%.0f", v) + s.word
	}
	return fmt.Sprintf("%.3g", v) + s.word
}

// axisOf are round figures from 0 to at least that.
func axisOf(unit string, most float64) (scale, []float64) {
	if most <= 0 {
		most = 1
	}
	s := scaleOf(unit, most)
	step := math.Pow(10, math.Floor(math.Log10(most/s.by)))
	switch {
	case most/s.by/step > 5:
		step *= 2
	case most/s.by/step < 1.5:
		step /= 4
	case most/s.by/step < 3:
		step /= 2
	}
	ticks := []float64{0}
	for ticks[len(ticks)-1] < most*0.999 {
		ticks = append(ticks, float64(len(ticks))*step*s.by)
	}
	return s, ticks
}
