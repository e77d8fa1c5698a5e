package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const repository = "../.."

// pages are all pages of the repository that people read, by path, without what is in code.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	read := func(path string) {
		text, err := os.ReadFile(filepath.Join(repository, path))
		if err != nil {
			t.Fatal(err)
		}
		all[path] = string(text)
	}
	tops, err := filepath.Glob(filepath.Join(repository, "*.md"))
	if err != nil || len(tops) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, path := range tops {
		read(filepath.Base(path))
	}
	err = fs.WalkDir(os.DirFS(repository), "docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			read(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	span    = regexp.MustCompile("`[^`\n]+`")
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)|(?:src|srcset)="([^"]+)"`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+)$`)
	noise   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	marked  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchors are those that GitHub gives a page's headings.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		title := marked.ReplaceAllString(match[1], "$1")
		all[strings.ReplaceAll(noise.ReplaceAllString(strings.ToLower(title), ""), " ", "-")] = true
	}
	return all
}

func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	for page, text := range all {
		for _, match := range link.FindAllStringSubmatch(span.ReplaceAllString(fence.ReplaceAllString(text, ""), ""), -1) {
			target := match[1] + match[2]
			if strings.Contains(target, "://") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			path := page
			if file != "" {
				path = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(filepath.Join(repository, path)); err != nil {
				t.Errorf("%s leads to %s, which is not there", page, target)
			} else if anchor != "" && !anchors(all[path])[anchor] {
				t.Errorf("%s leads to %s, and there is no such heading", page, target)
			}
		}
	}
}

// TestEachPageIsInTheIndex has a page found by whoever begins at docs/README.md. Decisions and runbooks have lists of their own.
func TestEachPageIsInTheIndex(t *testing.T) {
	all := pages(t)
	for page := range all {
		rest, ok := strings.CutPrefix(page, "docs/")
		if !ok || rest == "README.md" || strings.HasPrefix(rest, "decisions/") || strings.HasPrefix(rest, "runbooks/Loam") {
			continue
		}
		if !strings.Contains(all["docs/README.md"], "]("+rest+")") {
			t.Errorf("docs/README.md does not lead to %s", page)
		}
	}
}
