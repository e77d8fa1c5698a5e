package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/lvm"
)

// choice is a flag that takes one of a few words.
type choice struct {
	value   string
	allowed []string
}

func (c *choice) String() string { return c.value }

// Type shows the words in a usage text.
func (c *choice) Type() string { return strings.Join(c.allowed, "|") }

// Set takes a word from the command line.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("expected %s", strings.Join(c.allowed, " or "))
	}
	c.value = s
	return nil
}

func (c *choice) complete(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return c.allowed, cobra.ShellCompDirectiveNoFileComp
}

// size is a flag that takes an amount of bytes.
type size struct {
	bytes     lvm.Bytes
	relative  bool // was written +5Gi: that much more
	canGrowBy bool // relative amounts are taken
	text      string
}

func (s *size) String() string { return s.text }

// Type names the flag's value in a usage text.
func (s *size) Type() string { return "SIZE" }

// Set takes an amount from the command line.
func (s *size) Set(text string) error {
	number, relative := strings.CutPrefix(text, "+")
	if relative && !s.canGrowBy {
		return fmt.Errorf("expected a size such as 10Gi")
	}
	b, err := lvm.ParseBytes(number)
	if err != nil {
		return err
	}
	if b == 0 {
		return fmt.Errorf("expected more than nothing, as in 10Gi")
	}
	*s = size{bytes: b, relative: relative, canGrowBy: s.canGrowBy, text: text}
	return nil
}

// maxName is CSI's bound on names (spec, "Size Limits").
const maxName = 128

// checkNames refuses arguments that can be no name of anything.
func checkNames(names ...string) error {
	for _, n := range names {
		if n == "" || len(n) > maxName {
			return fmt.Errorf("a name has 1 to %d bytes, %.20q has %d", maxName, n, len(n))
		}
	}
	return nil
}

// words checks that as many names are there as the usage line shows, and that they can be names.
func words(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := files(names...)(cmd, args); err != nil {
			return err
		}
		return checkNames(args...)
	}
}

// files checks that as many arguments are there as the usage line shows, and says which is missing.
func files(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return fmt.Errorf("%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return fmt.Errorf("%q is one word too many", args[len(names)])
		}
		return nil
	}
}

// part is a flag that takes some of a hundred: 10%, 2.5%.
type part struct {
	value float64
	text  string
}

func (p *part) String() string { return p.text }

// Type names the flag's value in a usage text.
func (p *part) Type() string { return "PERCENT" }

// Set takes an amount from the command line.
func (p *part) Set(text string) error {
	number, ok := strings.CutSuffix(text, "%")
	value, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(value >= 0 && value <= 1000) {
		return fmt.Errorf("expected 0%% to 1000%%, as in 10%%")
	}
	*p = part{value: value / 100, text: text}
	return nil
}
