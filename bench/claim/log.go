package claim

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/loam-storage/loam/bench"
)

// A pod tells its result in its log, among lines for people: the report in lines that begin with linePart, and then, in lineEnd, the exit code of
// `loam bench run`.
const (
	linePart = "report "
	lineEnd  = "ended "
)

// Bounds of a log. Longer lines than 16 KiB are cut by runtimes (the CRI's log format); a report of `--profile full --steady` has some hundred
// kilobytes, and a tenth of that here.
const (
	bytesOfPart = 6 << 10
	maxLine     = 1 << 20
	maxLog      = 64 << 20
	maxReport   = 64 << 20
)

// WriteResult writes what a Client reads from a pod's log.
func WriteResult(w io.Writer, report []byte, code int) error {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(report); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	var lines bytes.Buffer
	for packed.Len() > 0 {
		lines.WriteString(linePart + base64.StdEncoding.EncodeToString(packed.Next(bytesOfPart)) + "\n")
	}
	fmt.Fprintf(&lines, "%s%d\n", lineEnd, code)
	_, err := w.Write(lines.Bytes())
	return err
}

// transcript is what a pod's log says so far.
type transcript struct {
	tell func(line string)
	told int    // lines, of all times that the log was read
	seen int    // lines, this time
	last string // line for people
	part bytes.Buffer
	// whole is the packed report and code the exit code, once ended.
	whole []byte
	code  int
	ended bool
}

// read takes a log from its beginning until the result is there, and may be called again with the same log, that has grown or is cut
// short. Errors: those of the reader, and of a result that is none.
func (t *transcript) read(log io.Reader) error {
	t.seen = 0
	t.part.Reset()
	lines := bufio.NewScanner(io.LimitReader(log, maxLog))
	lines.Buffer(nil, maxLine)
	for !t.ended && lines.Scan() {
		if err := t.line(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (t *transcript) line(line string) error {
	if text, ok := strings.CutPrefix(line, linePart); ok {
		part, err := base64.StdEncoding.DecodeString(text)
		t.part.Write(part)
		return err
	}
	if text, ok := strings.CutPrefix(line, lineEnd); ok {
		code, err := strconv.Atoi(text)
		t.whole, t.code, t.ended = bytes.Clone(t.part.Bytes()), code, err == nil
		return err
	}
	t.person(line)
	return nil
}

// person tells a line that was not told before.
func (t *transcript) person(line string) {
	if line = strings.TrimSpace(line); line == "" {
		return
	}
	if t.seen++; t.seen <= t.told {
		return
	}
	t.told, t.last = t.seen, line
	if t.tell != nil {
		t.tell(line)
	}
}

var errNoReport = errors.New("it gave no report")

// report is what was measured. Errors: errNoReport, and bench.Decode's.
func (t *transcript) report() (bench.Report, error) {
	if len(t.whole) == 0 {
		return bench.Report{}, errNoReport
	}
	z, err := gzip.NewReader(bytes.NewReader(t.whole))
	if err != nil {
		return bench.Report{}, fmt.Errorf("its report: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxReport))
	if err != nil {
		return bench.Report{}, fmt.Errorf("its report: %w", err)
	}
	if len(text) == 0 {
		return bench.Report{}, errNoReport
	}
	r, err := bench.Decode(text)
	if err != nil {
		return bench.Report{}, fmt.Errorf("its report: %w", err)
	}
	return r, nil
}

// failed is what `loam bench run` ended with, in its own last words; nil for success.
func (t *transcript) failed() error {
	if t.code == 0 {
		return nil
	}
	return errors.New(strings.TrimPrefix(t.last, "loam: "))
}
