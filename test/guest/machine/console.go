package machine

import (
	"bytes"
	"strings"
	"sync"
)

// console keeps the end of what a kernel prints, for the day it panics.
type console struct {
	mu   sync.Mutex // guards text
	text []byte
}

const consoleKept = 32 << 10

func (c *console) Write(data []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, data...)
	if extra := len(c.text) - consoleKept; extra > 0 {
		c.text = append(c.text[:0], c.text[extra:]...)
	}
	return len(data), nil
}

// tail gives the last n lines that are not blank.
func (c *console) tail(n int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []string
	for line := range bytes.Lines(c.text) {
		if text := strings.TrimRight(string(line), "\r\n "); text != "" {
			lines = append(lines, text)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
