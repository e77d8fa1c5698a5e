package claim

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/loam-storage/loam/bench"
)

// Bounds on a pod's log. A report of `--profile full --steady` has some hundred kilobytes.
const (
	maxLog  = 64 << 20
	maxLine = 1 << 20
)

// transcript is what `loam bench run` said in its pod: lines for people, and a report. Kubernetes joins its standard output and its standard
// error in one log, line by line.
type transcript struct {
	tell   func(line string)
	told   int    // lines, of all times that the log was read
	seen   int    // lines, this time
	last   string // line for people
	within bool   // a report, of which there is so much:
	part   bytes.Buffer
	report []byte // nil until one was whole
}

// read takes a log from its beginning, and may be called again with the same log, that has grown or is cut short. Errors: those of the reader.
func (t *transcript) read(log io.Reader) error {
	t.seen, t.within = 0, false
	lines := bufio.NewScanner(io.LimitReader(log, maxLog))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		t.line(lines.Text())
	}
	return lines.Err()
}

// line takes a line. `loam bench run --json -` writes a report with a brace alone on its first and its last line and spaces before all others,
// so that what is for people may come in between.
func (t *transcript) line(line string) {
	switch {
	case line == "{":
		t.part.Reset()
		t.within = true
	case t.within && (line == "}" || strings.HasPrefix(line, " ")):
	default:
		t.person(line)
		return
	}
	t.part.WriteString(line + "\n")
	if line == "}" {
		t.within, t.report = false, bytes.Clone(t.part.Bytes())
	}
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

// decode is the report. Errors: errNoReport, and bench.Decode's.
func (t *transcript) decode() (bench.Report, error) {
	if t.report == nil {
		return bench.Report{}, errNoReport
	}
	r, err := bench.Decode(t.report)
	if err != nil {
		return bench.Report{}, fmt.Errorf("its report: %w", err)
	}
	return r, nil
}
