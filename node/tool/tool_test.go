package tool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestRunGivesOutputOrTheToolsWords(t *testing.T) {
	out, err := Run(context.Background(), "printf", "%s", "$HOME; `id`")
	if err != nil || out != "$HOME; `id`" {
		t.Errorf("Run(printf) = %q, %v: arguments must arrive as they are", out, err)
	}
	_, err = Run(context.Background(), "ls", "--", "/nonexistent/file")
	var e *Error
	if !errors.As(err, &e) || e.ExitCode != 2 || !strings.Contains(err.Error(), "/nonexistent/file") {
		t.Errorf("Run(ls) = %v; want its status and words", err)
	}
	for _, name := range []string{"nonesuch", "../bin/ls/", ""} {
		if _, err := Run(context.Background(), name); !errors.Is(err, ErrAbsent) {
			t.Errorf("Run(%q) = %v; want ErrAbsent", name, err)
		}
	}
}

func TestContextEndsATool(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, "sleep", "60"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run = %v; want the context's error", err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	var w tail
	for range 100 {
		_, _ = w.Write([]byte(strings.Repeat("x", most/10)))
	}
	_, _ = w.Write([]byte("the end"))
	if s := w.String(); len(s) != most || !strings.HasSuffix(s, "the end") {
		t.Errorf("kept %d bytes, want the last %d", len(s), most)
	}
}
