package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity is how bad something is.
type Severity string

// The severities, the worst first.
const (
	Critical Severity = "critical" // data, or what pods need now
	Warning  Severity = "warning"  // new volumes, or soon more
	Notice   Severity = "notice"   // somebody should know
)

func (s Severity) rank() int { return slices.Index([]Severity{Critical, Warning, Notice}, s) }

// Finding is something that is wrong, on some nodes or on none in particular.
type Finding struct {
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Nodes    []string `json:"nodes"`
	// Next is the command to type next.
	Next string `json:"next"`
}

// findings are collected, the same of several nodes as one.
type findings struct {
	all []*Finding
	at  map[string]*Finding // by severity and words
}

func (f *findings) add(severity Severity, node, next, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if f.at == nil {
		f.at = map[string]*Finding{}
	}
	key := string(severity) + what
	found, known := f.at[key]
	if !known {
		found = &Finding{Severity: severity, What: what, Nodes: []string{}, Next: next}
		f.at[key] = found
		f.all = append(f.all, found)
	}
	if node != "" && !slices.Contains(found.Nodes, node) {
		found.Nodes = append(found.Nodes, node)
	}
}

// sorted are the worst first, of those the ones of most nodes.
func (f *findings) sorted() []Finding {
	sorted := make([]Finding, 0, len(f.all))
	for _, found := range f.all {
		slices.Sort(found.Nodes)
		sorted = append(sorted, *found)
	}
	slices.SortStableFunc(sorted, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), cmp.Compare(len(b.Nodes), len(a.Nodes)), strings.Compare(a.What, b.What))
	})
	return sorted
}
