package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of what is given to the YAML parser, whose time grows with the square of the number of keys, and faster with the
// depth. A pool takes some 300 bytes, five levels deep.
const (
	mostBytes = 64 << 10
	mostDepth = 16
)

// Load reads and parses a file.
func Load(path string) (Config, error) {
	data, err := read(path)
	if err != nil {
		return Config{}, err
	}
	return Parse(path, data)
}

// read returns what a file has, and no more of it than tells Parse that it is too much.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return data, nil
}

// Parse decodes a configuration in YAML or JSON and applies the defaults. The error is made of one Problem for each
// thing that is wrong, which begin with name.
func Parse(name string, data []byte) (Config, error) {
	p := &problems{file: name}
	root, ok := document(p, data)
	if !ok {
		return Config{}, p.err()
	}
	d := decoder{problems: p}
	d.root(root)
	check(p, d.pools)
	if err := p.err(); err != nil {
		return Config{}, err
	}
	c := Config{origin: origin{file: name}}
	for _, pool := range d.pools {
		c.Pools = append(c.Pools, pool.Pool)
		c.origin.pools = append(c.origin.pools, pool.at)
	}
	return c, nil
}

// document is the syntax tree of the only document in data.
func document(p *problems, data []byte) (ast.Node, bool) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	switch {
	case len(data) > mostBytes:
		p.add(place{}, "expected at most %d bytes, got more", mostBytes)
		return nil, false
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		p.add(place{line: 1 + bytes.Count(data[:firstInvalid(data)], []byte("\n"))}, "expected text in UTF-8")
		return nil, false
	}
	tokens := lexer.Tokenize(string(data))
	if line := tooDeep(tokens); line > 0 {
		p.add(place{line: line}, "nested more than %d deep", mostDepth)
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // duplicates are reported here, all of them
	if err != nil {
		p.add(syntax(err))
		return nil, false
	}
	if len(file.Docs) > 1 {
		p.add(place{line: beginning(file.Docs[1])}, "expected one document, got another")
		return nil, false
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		p.add(place{line: 1}, "expected pools, got an empty file")
		return nil, false
	}
	return file.Docs[0].Body, true
}

// syntax is what the YAML parser says, in our form.
func syntax(err error) (place, string, any) {
	var y yaml.Error
	if !errors.As(err, &y) {
		return place{line: 1}, "not YAML: %v", err
	}
	at := place{line: 1}
	if t := y.GetToken(); t != nil && t.Position != nil {
		at.line = t.Position.Line
	}
	return at, "not YAML: %s", y.GetMessage()
}

func firstInvalid(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == 0 || r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}

// tooDeep returns the line on which flow collections, or block sequences and anchors within one line, nest too deep; 0
// when none do. Blocks on lines of their own are bounded by mostBytes, as each level needs more indentation.
func tooDeep(tokens token.Tokens) int {
	flow, inline, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			inline, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			inline++
		default: // does not nest
		}
		if flow > mostDepth || inline > mostDepth && flow == 0 {
			return line
		}
	}
	return 0
}

// beginning is the line on which a document begins; 0 when nothing tells.
func beginning(d *ast.DocumentNode) int {
	if d.Start != nil {
		return d.Start.Position.Line
	}
	return lineOf(d.Body)
}

// lineOf is where a node begins; 0 when its parser did not say.
func lineOf(n ast.Node) int {
	if n == nil {
		return 0
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return 0
	}
	return t.Position.Line
}
