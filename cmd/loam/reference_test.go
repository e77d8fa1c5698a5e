package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// documentation is where pages are, seen from here.
const documentation = "../../docs"

// roots are the two trees of commands, anew, by what a person types first.
func roots() map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	for _, name := range []string{"loam", "kubectl loam"} {
		a := &app{getenv: func(string) string { return "" }, now: time.Now}
		root := a.root()
		if name != "loam" {
			root = a.pluginRoot()
		}
		a.prepare(root)
		root.InitDefaultHelpCmd()
		root.InitDefaultCompletionCmd("any")
		all[name] = root
	}
	return all
}

// everyCommand calls see with each command that help shows, in order.
func everyCommand(c *cobra.Command, see func(*cobra.Command)) {
	see(c)
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "completion" || sub.IsAdditionalHelpTopicCommand() {
			everyCommand(sub, see)
		}
	}
}

// TestHelpIsInTheReference compares docs/reference/commands.md with what the commands print. LOAM_UPDATE=1 writes it anew.
func TestHelpIsInTheReference(t *testing.T) {
	path := filepath.Join(documentation, "reference/commands.md")
	var b strings.Builder
	b.WriteString("# Help of all commands\n\n<!-- Written by LOAM_UPDATE=1 go test ./cmd/loam -->\n\n" +
		"What each command prints with `--help`. [Commands](cli.md) says more of some, with what comes out.\n")
	for _, name := range []string{"loam", "kubectl loam"} {
		everyCommand(roots()[name], func(c *cobra.Command) {
			var out bytes.Buffer
			c.SetOut(&out)
			if err := c.Help(); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "\n## %s\n\n```text\n%s\n```\n", c.CommandPath(), strings.TrimSpace(out.String()))
		})
	}
	if os.Getenv("LOAM_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	is, err := os.ReadFile(path)
	if err != nil || string(is) != b.String() {
		t.Errorf("%s is not what the commands print (%v): LOAM_UPDATE=1 go test ./cmd/loam writes it anew", path, err)
	}
}

// sections are the parts of a page, by their headings.
func sections(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for i, part := range strings.Split(string(text), "\n## ") {
		heading, body, _ := strings.Cut(part, "\n")
		if i == 0 {
			heading = "" // what stands before the first is about all commands
		}
		all[heading] = body
	}
	return all
}

// about is what the page says of a command: the sections with its name, or with that of the group that it is in, and what is about all.
func about(all map[string]string, c *cobra.Command) (text string) {
	for heading, body := range all {
		of := strings.Split(heading, ", ")
		if heading == "" || slices.ContainsFunc(of, func(h string) bool {
			return h == c.CommandPath() || strings.HasPrefix(h, c.CommandPath()+" ") || h == c.Parent().CommandPath() || h == c.Root().CommandPath()
		}) {
			text += heading + "\n" + body
		}
	}
	return text
}

func TestReferenceHasEveryCommandAndFlag(t *testing.T) {
	all := sections(t, filepath.Join(documentation, "reference/cli.md"))
	known := map[string]bool{"help": true}
	for _, root := range roots() {
		everyCommand(root, func(c *cobra.Command) {
			c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
			c.InheritedFlags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
			if c.HasSubCommands() || c.Parent() == nil || c.Name() == "help" || c.IsAdditionalHelpTopicCommand() || c.Hidden {
				return
			}
			text := about(all, c)
			_, short, _ := strings.Cut(c.CommandPath(), c.Root().CommandPath()+" ")
			if !strings.Contains(text, c.CommandPath()) && !strings.Contains(text, "| `"+c.Name()) && !strings.Contains(text, "| `"+short) {
				t.Errorf("the reference does not say what %q does", c.CommandPath())
			}
			c.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if f.Name != "help" && !regexp.MustCompile(`--`+f.Name+`\b`).MatchString(text) {
					t.Errorf("the reference does not explain --%s of %q", f.Name, c.CommandPath())
				}
			})
		})
	}
	for heading, text := range all {
		for _, match := range regexp.MustCompile("`(?:[a-z -]*)--([a-z-]+)").FindAllStringSubmatch(text, -1) {
			if !known[match[1]] {
				t.Errorf("the reference explains --%s below %q, and no command has it", match[1], heading)
			}
		}
	}
}

// asTyped is a command of ours within a line of a fence, however it is begun.
var asTyped = regexp.MustCompile(`(?:^|\s)(?:\S*bin/)?(kubectl loam|loam) (.*)$`)

// commandsIn are the lines of a page's fences that are commands of ours, and those in the text between backquotes.
func commandsIn(page string) (all []string) {
	inFence, last := false, ""
	for line := range strings.Lines(page) {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			inFence, last = !inFence, trimmed
		case !inFence:
			for i, part := range strings.Split(line, "`") {
				if i%2 == 1 && (strings.HasPrefix(part, "loam ") || strings.HasPrefix(part, "kubectl loam ")) {
					all = append(all, part)
				}
			}
		case strings.HasPrefix(trimmed, "[exit 2]"): // wrong usage, shown as such
			all = all[:len(all)-1]
		default:
			command, prompted := strings.CutPrefix(trimmed, "$ ")
			begins := regexp.MustCompile(`^(sudo |\S*bin/)?(kubectl|loam) `).MatchString(command)
			if match := asTyped.FindStringSubmatch(command); begins && match != nil && (prompted || last == "```sh") {
				all = append(all, match[1]+" "+match[2])
			}
		}
	}
	return all
}

// wrong says what is wrong with a command line, if anything: a command or a flag that there is not.
func wrong(line string) error {
	name := "loam"
	rest, ok := strings.CutPrefix(line, "kubectl loam ")
	if ok {
		name = "kubectl loam"
	} else {
		rest = strings.TrimPrefix(line, "loam ")
	}
	rest, _, _ = strings.Cut(rest, " #")
	args := strings.Fields(rest)
	if i := slices.IndexFunc(args, func(a string) bool { return regexp.MustCompile(`^([0-9]?>|[|&;…]|\.\.\.|<)`).MatchString(a) }); i >= 0 {
		args = args[:i]
	}
	if len(args) > 0 && args[0] == strings.ToUpper(args[0]) {
		return nil // any command
	}
	c, left, err := roots()[name].Find(args)
	if err != nil {
		return err
	}
	if err := c.ParseFlags(left); err != nil && !errors.Is(err, pflag.ErrHelp) && !strings.Contains(err.Error(), "flag needs an argument") {
		return err
	}
	if left := c.Flags().Args(); c.HasSubCommands() && len(left) > 0 {
		return fmt.Errorf("%s has no command %q", c.CommandPath(), left[0])
	}
	return nil
}

func TestCommandsInTheDocumentationExist(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"../../README.md", "../../CONTRIBUTING.md", documentation + "/*.md", documentation + "/*/*.md", "../../deploy/helm/loam/alerts.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	checked := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandsIn(string(text)) {
			checked++
			if err := wrong(line); err != nil {
				t.Errorf("%s: `%s`: %v", page, line, err)
			}
		}
	}
	if checked < 120 {
		t.Errorf("only %d commands were found in %d pages", checked, len(pages))
	}
}
