package machine

import (
	"strings"
	"sync"
)

// console keeps the end of what a kernel prints, for the day it panics.
type console struct {
	mu   sync.Mutex // guards text
	text []byte
}

const (
	consoleKept      = 64 << 10
	explanationLines = 30
)

func (c *console) Write(data []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, data...)
	if len(c.text) > 2*consoleKept { // not at each write, which would move all of it each time
		c.text = append(c.text[:0], c.text[len(c.text)-consoleKept:]...)
	}
	return len(data), nil
}

// explanation gives the lines that a person needs to see why a guest ended: from the panic on, or else the last ones.
func (c *console) explanation() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := strings.FieldsFunc(string(c.text), func(r rune) bool { return r == '\n' || r == '\r' })
	for i, line := range lines {
		if strings.Contains(line, "Kernel panic") {
			return strings.Join(lines[i:min(len(lines), i+explanationLines)], "\n")
		}
	}
	return strings.Join(lines[max(0, len(lines)-explanationLines):], "\n")
}
