package main

import (
	"bytes"
	"encoding/json"
	"strings"
)

// query is one of a panel's, in PromQL, with Grafana's variables; @node, @pool and @volume stand for what the person at the
// dashboard has chosen of them. legend names its lines by their labels.
type query struct{ expr, legend string }

// panel shows queries. One without a kind is lines over time.
type panel struct {
	title, text string
	unit        string // as Grafana calls it
	kind        string // "stat" for a number, "table" for what there is now
	width       int    // of 24; 0 for a third
	queries     []query
}

type row struct {
	title  string
	panels []panel
}

const (
	full   = 24 // the width of a dashboard
	height = 7
	low    = 4 // the height of a number
)

// chosen are the labels that the variables choose by.
var chosen = strings.NewReplacer(
	"@node", `instance=~"$instance"`,
	"@pool", `instance=~"$instance",pool=~"$pool"`,
	"@volume", `instance=~"$instance",pool=~"$pool",namespace=~"$namespace",persistentvolumeclaim=~"$persistentvolumeclaim"`,
)

// object is one of JSON's.
type object = map[string]any

var source = object{"type": "prometheus", "uid": "${datasource}"}

// dashboard is Grafana's JSON of all rows.
func dashboard() ([]byte, error) {
	var all []object
	id, y := 0, 0
	for _, r := range rows {
		id++
		all = append(all, object{"id": id, "type": "row", "title": r.title, "collapsed": false, "panels": []any{}, "gridPos": object{"x": 0, "y": y, "w": full, "h": 1}})
		y++
		x, tallest := 0, 0
		for _, p := range r.panels {
			if x+p.w() > full {
				x, y, tallest = 0, y+tallest, 0
			}
			id++
			all = append(all, p.json(id, x, y))
			x, tallest = x+p.w(), max(tallest, p.h())
		}
		y += tallest
	}
	var text bytes.Buffer
	to := json.NewEncoder(&text)
	to.SetEscapeHTML(false) // PromQL is to be read by people
	to.SetIndent("", "  ")
	err := to.Encode(object{
		"uid": "loam", "title": "Loam", "description": "Nodes, pools and volumes of Loam (docs/dashboard.md).", "tags": []string{"loam", "storage"},
		"schemaVersion": 39, "version": 1, "editable": true, "graphTooltip": 1, "timezone": "", "refresh": "30s",
		"time": object{"from": "now-6h", "to": "now"}, "templating": object{"list": variables()}, "annotations": object{"list": []any{}}, "panels": all,
	})
	return text.Bytes(), err
}

func variables() []object {
	values := func(name, label, expr string) object {
		return object{
			"name": name, "label": label, "type": "query", "datasource": source, "query": expr, "definition": expr, "refresh": 2, "sort": 1,
			"includeAll": true, "multi": true, "allValue": ".*", "current": object{"text": "All", "value": "$__all"},
		}
	}
	return []object{
		{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
		values("instance", "Node", "label_values(loam_pools_observed_timestamp_seconds, instance)"),
		values("pool", "Pool", `label_values(loam_pool_info{instance=~"$instance"}, pool)`),
		values("namespace", "Namespace", `label_values(loam_volume_size_bytes{instance=~"$instance",pool=~"$pool"}, namespace)`),
		values("persistentvolumeclaim", "Claim", `label_values(loam_volume_size_bytes{instance=~"$instance",pool=~"$pool",namespace=~"$namespace"}, persistentvolumeclaim)`),
	}
}

func (p panel) w() int {
	if p.width == 0 {
		return full / 3
	}
	return p.width
}

func (p panel) h() int {
	if p.kind == "stat" {
		return low
	}
	return height
}

func (p panel) json(id, x, y int) object {
	var targets []object
	for i, q := range p.queries {
		target := object{"refId": string(rune('A' + i)), "datasource": source, "expr": chosen.Replace(q.expr), "legendFormat": q.legend}
		if p.kind != "" {
			target["instant"], target["range"] = true, false
		}
		if p.kind == "table" {
			target["format"] = "table"
		}
		targets = append(targets, target)
	}
	defaults, kind := object{"unit": p.unit}, p.kind
	switch p.kind {
	case "":
		kind = "timeseries"
		defaults["min"], defaults["custom"] = 0, object{"fillOpacity": 8, "showPoints": "never"}
	case "stat":
		defaults["noValue"] = "0"
	}
	o := object{
		"id": id, "type": kind, "title": p.title, "description": p.text, "datasource": source, "targets": targets,
		"gridPos": object{"x": x, "y": y, "w": p.w(), "h": p.h()}, "fieldConfig": object{"defaults": defaults, "overrides": []any{}},
	}
	if p.kind == "table" {
		o["transformations"] = []object{{"id": "organize", "options": object{"excludeByName": object{"Time": true, "Value": true, "__name__": true}}}}
	}
	return o
}
