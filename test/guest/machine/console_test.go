package machine

import (
	"fmt"
	"strings"
	"testing"
)

func TestConsoleKeepsTheEnd(t *testing.T) {
	var c console
	for i := range 100_000 {
		fmt.Fprintf(&c, "line %d\r\n", i)
	}
	got := strings.Split(c.explanation(), "\n")
	if len(got) != explanationLines || got[len(got)-1] != "line 99999" {
		t.Errorf("explanation has %d lines, the last %q; want %d, the last line written", len(got), got[len(got)-1], explanationLines)
	}
	if len(c.text) > 2*consoleKept {
		t.Errorf("%d bytes are kept, more than %d", len(c.text), 2*consoleKept)
	}
}

func TestConsoleExplainsAPanicFromItsFirstLine(t *testing.T) {
	var c console
	fmt.Fprint(&c, "booting\nKernel panic - not syncing: Attempted to kill init!\n", strings.Repeat(" [<60>] frame\n", 100))
	got := c.explanation()
	if !strings.HasPrefix(got, "Kernel panic - not syncing") || strings.Count(got, "\n") != explanationLines-1 {
		t.Errorf("explanation:\n%s", got)
	}
}
