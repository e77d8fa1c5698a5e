package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// decoder turns a syntax tree into pools by the table of keys.
type decoder struct {
	*problems
	pools []pool
}

// pool is a Pool with the places of what was written of it.
type pool struct {
	Pool
	at places
}

func (d *decoder) root(n ast.Node) {
	var found bool
	d.mapping(n, place{line: 1}, func(key string, at place, value ast.Node) {
		if key != "pools" {
			d.add(at, "unknown key; known here: pools")
			return
		}
		found = true
		seq, ok := value.(*ast.SequenceNode)
		if !ok {
			d.add(at, "expected a list of pools, got %s", shown(value))
			return
		}
		for i, item := range seq.Values {
			d.pool(item, at.item(i).on(lineOf(item)))
		}
	})
	if _, ok := n.(*ast.MappingNode); ok && !found {
		d.add(place{key: "pools", line: 1}, "expected a list of pools, got nothing")
	}
}

func (d *decoder) pool(n ast.Node, at place) {
	if _, ok := n.(*ast.MappingNode); !ok {
		d.add(at, "expected the keys of a pool, got %s", shown(n))
		return
	}
	p := pool{at: places{poolPath: at}}
	d.fields(&p, n, at, poolPath)
	d.defaults(&p)
	d.pools = append(d.pools, p)
}

// fields decodes what stands under a path of the table.
func (d *decoder) fields(p *pool, n ast.Node, at place, path string) {
	d.mapping(n, at, func(name string, at place, value ast.Node) {
		path := join(path, name)
		key, isKey := keyAt(path)
		switch {
		case isKey:
			p.at[path] = at
			d.value(p, key, at, value)
		case len(below(path)) > 0:
			p.at[path] = at
			d.fields(p, value, at, path)
		default:
			parent, _ := strings.CutSuffix(path, "."+name)
			d.add(at, "unknown key; known here: %s", strings.Join(below(parent), ", "))
		}
	})
}

// mapping visits the entries of a mapping, each key once.
func (d *decoder) mapping(n ast.Node, at place, visit func(key string, at place, value ast.Node)) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		d.add(at, "expected keys and values, got %s", shown(n))
		return
	}
	seen := map[string]int{}
	for _, entry := range m.Values {
		line := lineOf(entry.Key)
		key, ok := entry.Key.(*ast.StringNode)
		if !ok {
			d.add(at.on(line), "expected a plain key, got %s", shown(entry.Key))
			continue
		}
		here := at.field(key.Value).on(line)
		if first, again := seen[key.Value]; again {
			d.add(here, "duplicate key; it is on line %d already", first)
			continue
		}
		seen[key.Value] = line
		visit(key.Value, here, entry.Value)
	}
}

// value decodes the value of one key.
func (d *decoder) value(p *pool, key Key, at place, n ast.Node) {
	switch key.shape {
	case list:
		d.list(p, key, at, n)
	case labels:
		d.mapping(n, at, func(name string, at place, value ast.Node) {
			v, ok := value.(*ast.StringNode)
			if !ok {
				d.unexpected(key, at, value)
				return
			}
			if strings.Contains(name, "=") || !key.set(&p.Pool, name+"="+v.Value) {
				d.unexpected(key, at, value)
			}
		})
	default:
		if v, ok := scalar(key.shape, n); !ok || !key.set(&p.Pool, v) {
			d.unexpected(key, at, n)
		}
	}
}

func (d *decoder) list(p *pool, key Key, at place, n ast.Node) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok || len(seq.Values) == 0 {
		d.add(at, "expected a list, each of it %s; got %s", key.Expects, shown(n))
		return
	}
	for i, item := range seq.Values {
		if v, ok := scalar(text, item); !ok || !key.set(&p.Pool, v) {
			d.unexpected(key, at.item(i).on(lineOf(item)), item)
		}
	}
}

func (d *decoder) unexpected(key Key, at place, n ast.Node) {
	d.add(at, "expected %s; got %s", key.Expects, shown(n))
}

// defaults gives every key that was not written what the table says, of those that the pool's type has.
func (d *decoder) defaults(p *pool) {
	for _, key := range keys {
		if p.at.has(key.Path) || key.Default == "" || key.For != "" && key.For != p.Type {
			continue
		}
		if value := strings.ReplaceAll(key.Default, "<name>", p.Name); value == key.Default || p.Name != "" {
			key.set(&p.Pool, value)
		}
	}
}

// scalar is the text of a node that has a shape; ok is false when it has another.
func scalar(want shape, n ast.Node) (v string, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, want == text || want == size
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, want == number || want == size
	case *ast.BoolNode:
		return strconv.FormatBool(n.Value), want == truth
	}
	return "", false
}

// shown is a node in a message, so that its reader finds it.
func shown(n ast.Node) string {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.StringNode:
		return abbreviated(n.Value)
	case *ast.IntegerNode, *ast.FloatNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return n.GetToken().Value + " without quotes"
	case *ast.SequenceNode:
		if len(n.Values) == 0 {
			return "an empty list"
		}
		return "a list"
	case *ast.MappingNode:
		return "keys and values"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or alias, which must be written out"
	case *ast.TagNode:
		return "a tag"
	case *ast.LiteralNode:
		return "a block of text"
	}
	return "something else"
}

// abbreviated quotes a text that may be long.
func abbreviated(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		return strconv.Quote(string(runes[:most])) + "…"
	}
	return strconv.Quote(s)
}

// equal compares what two pools have for a key.
func (k Key) equal(a, b Pool) bool { return slices.Equal(k.get(a), k.get(b)) }
