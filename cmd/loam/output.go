package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// The values of --output.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputName  = "name"
)

// outputTopic documents what scripts rest on.
func outputTopic() *cobra.Command {
	return &cobra.Command{
		Use: "output", Short: "What the commands print, and their exit codes",
		Long: `Results go to the standard output; warnings, hints and errors to the standard error.

Formats (-o, --output):
  table   for people: sizes in binary units, columns may change
  json    for programs: lists are arrays, "show" and changes give an object (of "delete",
          an array of what was deleted), sizes are whole bytes, times are RFC 3339 in UTC,
          every key is always there; keys are added, never removed or given another meaning
  name    one name per line

Keys:
  volume  id name lv kind(volume|snapshot) pool volumeGroup size used fs(ext4|xfs|"")
          claim source created active mounts health
  pool    name type(thin|thick) volumeGroup ready size used promised available largest
          thinPool extendAt others dataPercent metadataPercent volumes snapshots devices problem
  disk    path size kind model serial state(taken|free|refused) pool volumeGroup reason
          links unnamed

Exit codes:
  0   done, or there already
  1   the agent refused or failed, or there is none
  2   wrong usage; nothing was asked
  3   there is no volume, snapshot or pool of that name
  5   loam bench compare --fail-on: something got worse by more than that

Environment:
  LOAM_SOCKET   the agent's CSI socket, where --socket is not given`,
	}
}

// print writes a value in the format that was asked for.
func (a *app) print(value any, names []string, people func(io.Writer)) error {
	switch a.output.value {
	case outputJSON:
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(value)
	case outputName:
		for _, name := range names {
			fmt.Fprintln(a.stdout, name)
		}
	default:
		people(a.stdout)
	}
	return nil
}

// hint tells people something that is not the result.
func (a *app) hint(format string, args ...any) {
	if a.output.value != outputTable {
		return
	}
	fmt.Fprintf(a.stderr, format+"\n", args...)
}

// table is aligned text. A title that begins with '>' is of a column that is aligned to the right.
type table struct {
	titles []string
	rows   [][]string
}

func (t *table) add(cells ...string) {
	for i, c := range cells {
		cells[i] = cell(c)
	}
	t.rows = append(t.rows, cells)
}

// cell is text as it may stand in a terminal: one line, no control characters, and never nothing.
func cell(s string) string {
	if s == "" {
		return "-"
	}
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsGraphic(r) }) {
		return s
	}
	return strconv.QuoteToGraphic(s)
}

func (t *table) write(w io.Writer) {
	width := make([]int, len(t.titles))
	titles := make([]string, len(t.titles))
	for i, title := range t.titles {
		titles[i] = strings.TrimPrefix(title, ">")
	}
	lines := append([][]string{titles}, t.rows...)
	for _, line := range lines {
		for i, c := range line {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, c := range line {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if strings.HasPrefix(t.titles[i], ">") {
				b.WriteString(pad + c + "  ")
			} else {
				b.WriteString(c + pad + "  ")
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// sheet is one thing in full: a line per property.
type sheet struct {
	lines [][2]string
}

func (s *sheet) add(key string, values ...string) {
	if len(values) == 0 {
		values = []string{""}
	}
	for _, v := range values {
		s.lines = append(s.lines, [2]string{key, cell(v)})
		key = ""
	}
}

func (s *sheet) write(w io.Writer) {
	width := 0
	for _, l := range s.lines {
		width = max(width, len(l[0]))
	}
	for _, l := range s.lines {
		fmt.Fprintf(w, "%-*s  %s\n", width, l[0], l[1])
	}
}

// age is how long ago something was, in the largest unit that says anything: 42s, 5m, 3h, 12d.
func age(d time.Duration) string {
	d = max(0, d)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// count is "1 volume", "2 volumes".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
