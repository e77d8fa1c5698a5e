package filesystem

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReferenceListsTheOptions keeps docs/reference/storageclass.md and the allow-lists in step.
func TestReferenceListsTheOptions(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/storageclass.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "## Mount options")
	lists, _, _ := strings.Cut(after, "Two that contradict")
	quoted := regexp.MustCompile("`([^`]+)`")
	values := strings.NewReplacer("logbsize=N", "logbsize=32k", "allocsize=N", "allocsize=64k", "=N", "=4")
	words := map[string][]string{}
	for _, item := range strings.Split(lists, "\n- for ")[1:] {
		what, list, _ := strings.Cut(item, ":")
		for _, m := range quoted.FindAllStringSubmatch(list, -1) {
			words[what] = append(words[what], values.Replace(m[1]))
		}
	}
	if listed, allowed := slices.Sorted(slices.Values(words["both"])), slices.Sorted(maps.Keys(genericOptions)); !slices.Equal(listed, allowed) {
		t.Errorf("listed for both: %q; allowed: %q", listed, allowed)
	}
	for _, kind := range []Type{Ext4, XFS} {
		if len(words[string(kind)]) < 10 {
			t.Errorf("listed for %s: %q", kind, words[string(kind)])
		}
		for _, option := range words[string(kind)] {
			if !ownOptions[kind].MatchString(option) {
				t.Errorf("%s is listed for %s and not allowed", option, kind)
			}
		}
		table := regexp.MustCompile(`(?s)\| ` + string(kind) + ` \| value \|(.*?)\n\n`).FindStringSubmatch(string(page))
		var flags []string
		for _, m := range regexp.MustCompile("(?m)^\\| `(-.)`").FindAllStringSubmatch(table[1], -1) {
			flags = append(flags, m[1])
		}
		if listed, allowed := slices.Sorted(slices.Values(flags)), slices.Sorted(maps.Keys(makeOptions[kind])); !slices.Equal(listed, allowed) {
			t.Errorf("listed for mkfs.%s: %q; allowed: %q", kind, listed, allowed)
		}
	}
}
