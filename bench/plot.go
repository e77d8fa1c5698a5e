package bench

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
	"time"
)

// axis maps values to percent of a plot's width.
type axis struct {
	low, high float64
	log       bool
	ticks     []tick
}

type tick struct {
	at    float64
	label string
}

func (a axis) percent(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	return 100 * min(max((v-low)/(high-low), 0), 1)
}

// latencyAxis is logarithmic, with a line at each power of ten and whole ones at its ends.
func latencyAxis(shortest, longest time.Duration) axis {
	a := axis{log: true, low: math.Pow(10, math.Floor(math.Log10(float64(shortest))+1e-9)), high: math.Pow(10, math.Ceil(math.Log10(float64(longest))-1e-9))}
	if a.high <= a.low {
		a.high = 10 * a.low
	}
	every := 1.0
	if a.high/a.low > 1e4 {
		every = 2 // or the labels would touch on a phone
	}
	for n := 0.0; a.low*math.Pow(10, n) <= 1.01*a.high; n++ {
		t := tick{at: a.low * math.Pow(10, n)}
		if math.Mod(n, every) == 0 {
			t.label = round(time.Duration(math.Round(t.at)))
		}
		a.ticks = append(a.ticks, t)
	}
	return a
}

// round is a duration that is whole in its unit.
func round(d time.Duration) string {
	return strings.TrimSuffix(strings.NewReplacer(".00 ", " ", ".0 ", " ").Replace(short(d)), " ")
}

// amountAxis begins at 0, as bars do, and ends at a round figure.
func amountAxis(most float64) axis {
	if most <= 0 {
		most = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	switch { // three to five lines
	case most/step >= 4:
		step *= 2
	case most/step < 2:
		step /= 2
	}
	a := axis{high: most}
	for n := 0.0; n*step <= most*1.0001; n++ {
		a.ticks = append(a.ticks, tick{n * step, strings.TrimSuffix(strings.TrimSuffix(three(n*step), ".00"), ".0")})
	}
	return a
}

// drawing is an SVG whose x coordinates are percent, so that it is as wide as there is room and its strokes and letters stay as they are.
type drawing struct {
	strings.Builder
	ids *int // unique in the page
}

// svg begins one that says what it shows to those who do not see it.
func (d *drawing) svg(height int, title, desc string) {
	*d.ids++
	fmt.Fprintf(d, `<svg height="%d" role="img" aria-labelledby="t%d" aria-describedby="d%d"><title id="t%d">%s</title><desc id="d%d">%s</desc>`,
		height, *d.ids, *d.ids, *d.ids, html.EscapeString(title), *d.ids, html.EscapeString(desc))
}

func (d *drawing) line(class string, x1, x2, y1, y2 float64) {
	fmt.Fprintf(d, `<line class="%s" x1="%.2f%%" x2="%.2f%%" y1="%g" y2="%g"/>`, class, x1, x2, y1, y2)
}

func (d *drawing) circle(class string, x, y, r float64) {
	fmt.Fprintf(d, `<circle class="%s" cx="%.2f%%" cy="%g" r="%g"/>`, class, x, y, r)
}

func (d *drawing) bar(class string, x, y, height float64) {
	fmt.Fprintf(d, `<rect class="%s" x="0" y="%g" width="%.2f%%" height="%g"/>`, class, y, x, height)
}

// grid draws the ticks' lines.
func (d *drawing) grid(a axis, height float64) {
	for _, t := range a.ticks {
		x := a.percent(t.at)
		d.line("grid", x, x, 0, height)
	}
}

// end is the finished drawing. Everything in it that came from a report was escaped.
func (d *drawing) end() template.HTML {
	d.WriteString("</svg>")
	return template.HTML(d.String()) //nolint:gosec // title and desc are escaped in svg, all else are numbers and our own classes
}

// labels are those of an axis, below its plots. Screen readers find the values in the text.
func labels(a axis) template.HTML {
	var d drawing
	d.WriteString(`<svg height="16" class="axis" aria-hidden="true">`)
	for _, t := range a.ticks {
		x, anchor := a.percent(t.at), "middle"
		if x == 0 {
			anchor = "start"
		} else if x > 97 {
			anchor = "end"
		}
		fmt.Fprintf(&d, `<text x="%.2f%%" y="12" text-anchor="%s">%s</text>`, x, anchor, html.EscapeString(t.label))
	}
	return d.end()
}

// plotLatency draws from p50 to the last percentile that is known.
func plotLatency(ids *int, a axis, title string, h Histogram) template.HTML {
	const height, middle = 20, 10
	d := drawing{ids: ids}
	var said []string
	last := 0.0
	for _, p := range percentiles {
		if known(h, p.percent) {
			last = a.percent(float64(h.Percentile(p.percent)))
			said = append(said, strings.ToLower(p.name)+" "+short(h.Percentile(p.percent)))
		}
	}
	d.svg(height, title+": "+strings.Join(said, ", "), "Marks for these percentiles on a logarithmic axis of latency, joined by a line.")
	d.grid(a, height)
	if len(said) > 0 {
		d.line("range", a.percent(float64(h.Percentile(50))), last, middle, middle)
	}
	for i, p := range percentiles {
		if !known(h, p.percent) {
			continue
		}
		d.mark(i, a.percent(float64(h.Percentile(p.percent))), middle)
	}
	return d.end()
}

// mark draws a percentile's: each has a form of its own, so that nobody needs colours.
func (d *drawing) mark(i int, x, y float64) {
	switch i {
	case 0:
		d.circle("dot", x, y, 5)
	case 1:
		d.line("bar", x, x, y-7, y+7)
	case 2:
		d.circle("ring", x, y, 3.5)
	default:
		d.line("end", x, x, y-5, y+5)
	}
}

// plotAmount draws a bar from 0 with the interval of its end, and where the baseline is.
func plotAmount(ids *int, a axis, title string, e Estimate, baseline float64) template.HTML {
	const height, middle = 20, 10
	d := drawing{ids: ids}
	d.svg(height, title, "A bar from 0, with the 95 % confidence interval of its end.")
	d.grid(a, height)
	d.bar("amount", a.percent(e.Value), middle-5, 10)
	if !math.IsInf(e.High, 1) {
		low, high := a.percent(e.Low), a.percent(e.High)
		d.line("whisker", low, high, middle, middle)
		d.line("whisker", low, low, middle-4, middle+4)
		if e.High <= a.high { // else it goes on
			d.line("whisker", high, high, middle-4, middle+4)
		}
	}
	if baseline > 0 {
		x := a.percent(baseline)
		d.line("baseline", x, x, 0, height)
	}
	return d.end()
}

// plotTime draws each repetition's seconds, one repetition after the other.
func plotTime(ids *int, title string, repetitions [][]float64, most float64) template.HTML {
	const height = 44.0
	d := drawing{ids: ids}
	d.svg(int(height), title, "Throughput in each second, from 0 at the bottom; a line for each repetition, in the order of time.")
	total := 0
	for _, seconds := range repetitions {
		total += max(len(seconds), 1)
	}
	// Lines have no percentages, so they are stretched.
	fmt.Fprintf(&d, `<svg viewBox="0 0 %d %g" preserveAspectRatio="none" width="100%%" height="%g">`, max(total, 1)*10, height, height)
	start := 0
	for _, seconds := range repetitions {
		var points []string
		for i, v := range seconds {
			points = append(points, fmt.Sprintf("%d,%.1f", (start+i)*10+5, height-1-(height-4)*v/most))
		}
		if len(points) == 1 {
			points = append(points, fmt.Sprintf("%d,%.1f", start*10+9, height-1-(height-4)*seconds[0]/most))
		}
		fmt.Fprintf(&d, `<polyline class="time" points="%s"/>`, strings.Join(points, " "))
		start += max(len(seconds), 1)
	}
	d.WriteString("</svg>")
	d.line("zero", 0, 100, height-0.5, height-0.5)
	return d.end()
}
