package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with a configuration. Errors of Parse are made of Problems (errors.As finds the
// first; All lists them).
type Problem struct {
	File string // as it was given to Parse
	Line int    // from 1; 0 when the whole file is meant
	Key  string // "pools[0].thin.chunkSize"; "" when no key is at fault
	Text string // what was expected, and what was found
}

// Error is one line: "file:line: key: text".
func (p Problem) Error() string {
	s := p.File
	if p.Line > 0 {
		s += ":" + strconv.Itoa(p.Line)
	}
	if p.Key != "" {
		s += ": " + p.Key
	}
	return s + ": " + p.Text
}

// All lists the problems of which an error of this package is made, in the order of their lines.
func All(err error) []Problem {
	var one Problem
	var many interface{ Unwrap() []error }
	switch {
	case errors.As(err, &many):
		errs := many.Unwrap()
		all := make([]Problem, 0, len(errs))
		for _, e := range errs {
			all = append(all, All(e)...)
		}
		return all
	case errors.As(err, &one):
		return []Problem{one}
	}
	return nil
}

// place is where something stands in a file.
type place struct {
	key  string
	line int
}

func (p place) on(line int) place { return place{key: p.key, line: line} }

func (p place) field(name string) place { return place{key: join(p.key, name), line: p.line} }

func (p place) item(i int) place {
	return place{key: p.key + "[" + strconv.Itoa(i) + "]", line: p.line}
}

// places is where the keys of one pool stand, by Key.Path; poolPath is the pool itself.
type places map[string]place

// has says whether a key was written.
func (p places) has(path string) bool {
	_, ok := p[path]
	return ok
}

// of is the place of the first of those keys that was written; of the pool, with the name of the first, when none was.
func (p places) of(paths ...string) place {
	for _, path := range paths {
		if at, ok := p[path]; ok {
			return at
		}
	}
	return p[poolPath].field(strings.TrimPrefix(paths[0], poolPath+"."))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// problems collects what is wrong with one file.
type problems struct {
	file string
	all  []Problem
}

func (p *problems) add(at place, format string, args ...any) {
	p.all = append(p.all, Problem{File: p.file, Line: at.line, Key: at.key, Text: fmt.Sprintf(format, args...)})
}

// err joins them in the order of their lines; nil when there are none.
func (p *problems) err() error {
	slices.SortStableFunc(p.all, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	errs := make([]error, len(p.all))
	for i, one := range p.all {
		errs[i] = one
	}
	return errors.Join(errs...)
}
