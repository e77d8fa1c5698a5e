package extender

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// reader reads a JSON text (RFC 8259) from its beginning, without a copy of what it finds. It is strict where it reads itself,
// in names and between them; what it only steps over may be no JSON.
type reader struct {
	text []byte
	at   int
}

// object reads an object that has to be all of the text. member is called at the value of each, and has to read it.
func (r *reader) object(member func(name string) error) error {
	seen := map[string]bool{}
	err := r.list('{', '}', func() error {
		name, err := r.string()
		if err != nil {
			return err
		}
		if seen[string(name)] {
			return fmt.Errorf("%.20q is there twice", name)
		}
		seen[string(name)] = true
		if err := r.take(':'); err != nil {
			return err
		}
		return member(string(name))
	})
	if err != nil {
		return err
	}
	if r.next(); r.at < len(r.text) {
		return r.unexpected("the end")
	}
	return nil
}

// other reads the value of a member that nobody wants.
func (r *reader) other(name string) error {
	value, err := r.skip()
	if err == nil && !value.IsValid() {
		err = fmt.Errorf("%.20q has no value", name)
	}
	return err
}

// list reads what stands between two brackets, with commas between.
func (r *reader) list(begin, end byte, element func() error) error {
	if err := r.take(begin); err != nil {
		return err
	}
	if r.next() == end {
		r.at++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if r.next() != ',' {
			return r.take(end)
		}
		r.at++
	}
}

// string reads a string. It stands in the text unless something in it is escaped.
func (r *reader) string() ([]byte, error) {
	if err := r.take('"'); err != nil {
		return nil, err
	}
	rest := r.text[r.at:]
	n := plain(rest)
	if n < len(rest) && rest[n] == '"' {
		r.at += n + 1
		return rest[:n:n], nil
	}
	r.at--
	quoted, err := r.quoted()
	if err != nil {
		return nil, err
	}
	return jsontext.AppendUnquote(nil, quoted)
}

// quoted steps over a string, whatever is in it.
func (r *reader) quoted() ([]byte, error) {
	for at := r.at + 1; at < len(r.text); at++ {
		switch r.text[at] {
		case '\\':
			at++
		case '"':
			from := r.at
			r.at = at + 1
			return r.text[from:r.at], nil
		}
	}
	return nil, io.ErrUnexpectedEOF
}

// skip steps over a value. If it is valid, it is one value and no more.
func (r *reader) skip() (jsontext.Value, error) {
	r.space()
	from := r.at
	for depth := 0; r.at < len(r.text); {
		switch r.text[r.at] {
		case '"':
			if _, err := r.quoted(); err != nil {
				return nil, err
			}
			r.at-- // to its end
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		r.at++
		if depth <= 0 && (r.at == len(r.text) || bytes.IndexByte(closing, r.text[r.at]) >= 0) {
			return jsontext.Value(r.text[from:r.at]), nil
		}
	}
	return nil, io.ErrUnexpectedEOF
}

// closing are the bytes that may follow a value.
var closing = []byte(",]} \t\r\n")

// take steps over a byte that has to come next.
func (r *reader) take(b byte) error {
	if r.next() != b {
		return r.unexpected(fmt.Sprintf("%q", b))
	}
	r.at++
	return nil
}

// next is what comes after white space; 0 at the end.
func (r *reader) next() byte {
	r.space()
	if r.at == len(r.text) {
		return 0
	}
	return r.text[r.at]
}

func (r *reader) space() {
	for ; r.at < len(r.text); r.at++ {
		switch r.text[r.at] {
		case ' ', '\t', '\r', '\n':
		default:
			return
		}
	}
}

func (r *reader) unexpected(instead string) error {
	if r.at == len(r.text) {
		return io.ErrUnexpectedEOF
	}
	return fmt.Errorf("invalid character %q at byte %d, %s was expected", r.text[r.at], r.at, instead)
}

// Bits of eight bytes at a time.
const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain is how many bytes come before one that may not stand for itself in a JSON string: a quote, a backslash, a control
// character, or one that is not ASCII and has to be looked at. Names are all that, so eight bytes are looked at in one go: the
// highest bit of each tells (Hacker's Delight, 6-1: the first zero byte).
func plain(text []byte) int {
	at := 0
	for ; at+8 <= len(text); at += 8 {
		x := binary.LittleEndian.Uint64(text[at:])
		quote, backslash := x^'"'*lows, x^'\\'*lows
		if (x|(x-' '*lows)|(quote-lows)&^quote|(backslash-lows)&^backslash)&highs != 0 {
			break
		}
	}
	for ; at < len(text); at++ {
		if c := text[at]; c < ' ' || c >= 0x80 || c == '"' || c == '\\' {
			break
		}
	}
	return at
}

// appendString writes a string.
func appendString(to, text []byte) []byte {
	if plain(text) < len(text) {
		to, _ = jsontext.AppendQuote(to, text) // it is UTF-8: it was read from JSON, or made here
		return to
	}
	to = append(to, '"')
	to = append(to, text...)
	return append(to, '"')
}
