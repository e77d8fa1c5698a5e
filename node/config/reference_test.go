package config

import (
	"os"
	"strings"
	"testing"
)

// reference is the page that explains every key to users.
const reference = "../../docs/reference/configuration.md"

func TestReferenceSaysOfEveryKeyWhatTheTableSays(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, section := range strings.Split(string(text), "\n### `")[1:] {
		name, body, _ := strings.Cut(section, "`\n")
		body, _, _ = strings.Cut(body, "\n## ")
		sections[name] = body + "\n"
	}
	for _, key := range Keys() {
		name := strings.TrimPrefix(key.Path, poolPath+".")
		body, ok := sections[name]
		delete(sections, name)
		for line, applies := range map[string]bool{
			key.Expects + "\n":                              true,
			"- Default: `" + key.Default + "`\n":            key.Default != "",
			"- Only for a " + string(key.For) + " pool\n":   key.For != "",
			"- Cannot be changed for a pool that exists\n":  key.Fixed,
			"- Expected: a list, each of it " + key.Expects: key.shape == list,
		} {
			if !ok || strings.Contains(body, line) != applies {
				t.Errorf("%s: %s should say %q: %v", reference, name, line, applies)
			}
		}
	}
	for name := range sections {
		t.Errorf("%s explains %s, which is no key", reference, name)
	}
}

func TestExampleOfTheReferenceIsValid(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if c, err := Parse("example", []byte(example)); !found || err != nil || len(c.Pools) != 3 {
		t.Errorf("the example gives %d pools and %v", len(c.Pools), err)
	}
}
