package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// reasons are where the code has the reason of an event as a literal, and what comes before it in the event.
var reasons = []struct {
	folder, prefix string
	literal        *regexp.Regexp
}{
	{"node/monitor/", "Loam", regexp.MustCompile(`\bKind = "(\w+)"`)}, // node/cluster.go tells conditions
	{"node/cluster.go", "", regexp.MustCompile(`\btrouble\{"(\w+)",`)},
	{"node/csi/", "", regexp.MustCompile(`\bailment\{+"(\w+)"`)}, // controller/ailing.go tells what agents answer
	{"controller/", "", regexp.MustCompile(`\badvice\{claim, "(\w+)"`)},
	{"controller/", "", regexp.MustCompile(`\breason: "(\w+)"`)},
	{"controller/", "", regexp.MustCompile(`\.Event\(about, \w+\.EventTypeWarning, "(\w+)"`)},
}

// maker is what makes an event.
var maker = regexp.MustCompile(`\.Eventf?\(|corev1\.Event\{`)

func TestEachEventIsInTheReference(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "docs/reference/events.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	var makers []string
	for _, folder := range []string{"node", "controller", "scheduler-extender", "cluster", "cmd", "bench"} {
		err := fs.WalkDir(os.DirFS(repository), folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(filepath.Join(repository, path))
			if err != nil {
				return err
			}
			if maker.Match(source) {
				makers = append(makers, path)
			}
			for _, r := range reasons {
				for _, match := range r.literal.FindAllStringSubmatch(string(source), -1) {
					if strings.HasPrefix(path, r.folder) {
						told[r.prefix+match[1]] = true
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// Whoever makes events elsewhere adds where its reasons are. bench/claim only reads them.
	if want := []string{"node/cluster.go", "controller/notice.go", "controller/orphans.go", "controller/volume.go", "bench/claim/pod.go"}; !slices.Equal(makers, want) {
		t.Errorf("events are made in %q, want %q", makers, want)
	}
	delete(told, "PoolNotReady") // of CSI's storage health alone
	if len(told) < 30 {
		t.Errorf("only %d reasons are found in the code", len(told))
	}
	written := map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(string(text), -1) {
		written[match[1]] = true
		if !told[match[1]] {
			t.Errorf("nobody tells %s", match[1])
		}
	}
	for reason := range told {
		if !written[reason] {
			t.Errorf("the reference has no row for %s", reason)
		}
	}
}
