package lvm

import (
	"fmt"
	"strconv"
)

// section is a part of LVM's metadata text: entries "name = value" and sections "name { … }" (lvm2:
// libdm/libdm-config.c; lvm.conf(5) has the same syntax). Values are strings, whole numbers, and lists of both.
type section struct {
	values   map[string]any
	sections map[string]*section
	order    []string // names of the sections
}

// maxDepth is more than the metadata of any volume group needs, which is five.
const maxDepth = 16

// parseText reads a whole text.
func parseText(text []byte) (*section, error) {
	p := textParser{text: text}
	s := p.section(0)
	if p.err == nil && p.at < len(text) {
		p.fail("end of the text")
	}
	return s, p.err
}

// textParser stands somewhere in a text. After its first error it stands at the end.
type textParser struct {
	text []byte
	at   int
	err  error
}

func (p *textParser) fail(expected string) {
	if p.err == nil {
		p.err = fmt.Errorf("metadata text, byte %d: expected %s: %w", p.at, expected, errDamaged)
	}
	p.at = len(p.text)
}

// next skips what separates and returns the byte that follows, 0 at the end. The text that is on a device ends with a NUL.
func (p *textParser) next() byte {
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; c {
		case ' ', '\t', '\n', '\r', 0:
		case '#':
			for p.at < len(p.text)-1 && p.text[p.at] != '\n' {
				p.at++
			}
		default:
			return c
		}
	}
	return 0
}

// section reads up to the brace that closes it, or at depth 0 to the end.
func (p *textParser) section(depth int) *section {
	s := &section{values: map[string]any{}, sections: map[string]*section{}}
	for {
		switch c := p.next(); {
		case c == 0:
			if depth > 0 {
				p.fail("}")
			}
			return s
		case c == '}' && depth > 0:
			p.at++
			return s
		}
		name := p.word()
		_, value := s.values[name]
		if value || s.sections[name] != nil {
			p.fail("no second " + strconv.Quote(name))
			return s
		}
		switch p.next() {
		case '{':
			p.at++
			if depth >= maxDepth {
				p.fail("fewer sections in sections")
				return s
			}
			s.sections[name] = p.section(depth + 1)
			s.order = append(s.order, name)
		case '=':
			p.at++
			s.values[name] = p.value(false)
		default:
			p.fail("{ or =")
		}
	}
}

// word reads a name. LVM allows in those of groups and volumes: letters, digits and + _ . -
func (p *textParser) word() string {
	from := p.at
	for p.at < len(p.text) && (letterOrDigit(rune(p.text[p.at])) || p.text[p.at] == '+' || p.text[p.at] == '_' || p.text[p.at] == '.' || p.text[p.at] == '-') {
		p.at++
	}
	if p.at == from {
		p.fail("a name")
		return ""
	}
	return string(p.text[from:p.at])
}

func (p *textParser) value(inList bool) any {
	switch c := p.next(); {
	case c == '"':
		return p.quoted()
	case c == '[' && !inList:
		p.at++
		return p.list()
	}
	n, err := strconv.ParseInt(p.word(), 10, 64)
	if err != nil {
		p.fail("a string, a whole number or a list")
	}
	return n
}

func (p *textParser) list() []any {
	list := []any{}
	for p.next() != ']' {
		if len(list) > 0 {
			if p.next() != ',' {
				p.fail(", or ]")
				return nil
			}
			p.at++
		}
		list = append(list, p.value(true))
		if p.err != nil {
			return nil
		}
	}
	p.at++
	return list
}

// quoted reads a string, in which a backslash stands before a quote or another backslash.
func (p *textParser) quoted() string {
	p.at++
	var b []byte
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return string(b)
		case c == '\\' && p.at < len(p.text):
			c = p.text[p.at]
			p.at++
		}
		b = append(b, c)
	}
	p.fail(`"`)
	return ""
}

// fields reads the entries of sections and keeps the first that is not as it must be.
type fields struct{ err error }

func (f *fields) fail(name, expected string) {
	if f.err == nil {
		f.err = fmt.Errorf("metadata text: %s: expected %s: %w", name, expected, errDamaged)
	}
}

// text returns a string; "" when there is no such entry.
func (f *fields) text(s *section, name string) string {
	v, ok := s.values[name]
	if !ok {
		return ""
	}
	t, ok := v.(string)
	if !ok {
		f.fail(name, "a string")
	}
	return t
}

// uuid returns the entry "id", a UUID with LVM's dashes.
func (f *fields) uuid(s *section) string {
	id := f.text(s, "id")
	if id == "" || dashed(undashed(id)) != id {
		f.fail("id", "a UUID")
	}
	return id
}

// maxNumber keeps sums and products of extents and sectors far from overflowing.
const maxNumber = 1 << 52

// number returns a whole number that is not negative; 0 when there is no such entry.
func (f *fields) number(s *section, name string) int64 {
	v, ok := s.values[name]
	if !ok {
		return 0
	}
	n, ok := v.(int64)
	if !ok || n < 0 || n > maxNumber {
		f.fail(name, "a number that is not negative")
		return 0
	}
	return n
}

// strings returns a list of strings; none when there is no such entry.
func (f *fields) strings(s *section, name string) []string {
	v, ok := s.values[name]
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		f.fail(name, "a list")
	}
	var texts []string
	for _, item := range list {
		t, ok := item.(string)
		if !ok {
			f.fail(name, "a list of strings")
		}
		texts = append(texts, t)
	}
	return texts
}

// section returns an inner section; an empty one when there is none.
func (f *fields) section(s *section, name string) *section {
	if inner := s.sections[name]; inner != nil {
		return inner
	}
	return &section{}
}
