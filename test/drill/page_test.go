package drill

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/loam-storage/loam/test/prometheus"
)

// address is where alerts say that their pages are; what follows is a path in this repository.
const address = "https://github.com/loam-storage/loam/blob/main/"

// page is a runbook: its commands by the heading above them, as they stand there. A fence that begins with promql is a question to
// Prometheus, one with sh has commands; other fences show what comes out.
type page struct {
	commands, queries map[string][]string
	text              string
}

func readPage(t *testing.T, url string) page {
	t.Helper()
	path, ok := strings.CutPrefix(url, address)
	if !ok {
		t.Fatalf("the page is at %s, want something below %s", url, address)
	}
	text, err := os.ReadFile(filepath.Join(prometheus.Repository, path))
	if err != nil {
		t.Fatal(err)
	}
	p := page{commands: map[string][]string{}, queries: map[string][]string{}, text: string(text)}
	var heading, fence string
	for line := range strings.Lines(p.text) {
		line = strings.TrimSpace(line)
		kind, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && fence == "":
			fence = "```" + kind
		case isFence:
			fence = ""
		case fence == "" && strings.HasPrefix(line, "## "):
			heading = strings.TrimPrefix(line, "## ")
		case fence == "```sh":
			command, _, _ := strings.Cut(line, " #")
			p.commands[heading] = append(p.commands[heading], strings.TrimSpace(command))
		case fence == "```promql":
			p.queries[heading] = append(p.queries[heading], line)
		}
	}
	return p
}

// word is what stands for a name on a page: POOL, NAME.
var word = regexp.MustCompile(`\b[A-Z]{4,}\b`)

// fill puts names in for the words of a command.
func fill(t *testing.T, command string, words map[string]string) string {
	t.Helper()
	return word.ReplaceAllStringFunc(command, func(w string) string {
		name, ok := words[w]
		if !ok {
			t.Fatalf("%q: the drill does not know what %s is", command, w)
		}
		return name
	})
}
