package tool

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
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

// A process that a tool leaves behind holds its output open; with the context it must go, and Run must not wait for it.
func TestContextEndsWhatAToolStarted(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, err := Run(ctx, "sh", "-c", "sleep 60 & sleep 60")
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) > drain {
		t.Errorf("Run = %v after %v; want the context's error at once", err, time.Since(started))
	}
}

func TestPatienceLetsAnInterruptedToolEndWell(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	var out strings.Builder
	_, err := Command{Name: "sh", Args: []string{"-c", "trap 'echo result; exit 1' INT; while :; do sleep 0.01; done"}, Stdout: &out, Patience: time.Minute}.Run(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || out.String() != "result\n" {
		t.Errorf("Run = %v, and it printed %q; want the context's error, and what it says in the end", err, &out)
	}
}

func TestPatienceEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := Command{Name: "sh", Args: []string{"-c", "trap '' INT; while :; do sleep 0.01; done"}, Patience: 50 * time.Millisecond}.Run(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run = %v; want a tool that heeds no interrupt to be killed", err)
	}
}

func TestAToolThatEndedInTimeHasNoError(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	out, err := Run(ctx, "echo", "done")
	cancel()
	if err != nil || out != "done\n" {
		t.Errorf("Run(echo) = %q, %v", out, err)
	}
}

func TestASignalIsNamed(t *testing.T) {
	_, err := Run(context.Background(), "sh", "-c", "kill -SEGV $$")
	var e *Error
	if !errors.As(err, &e) || e.Signal != syscall.SIGSEGV || err.Error() != "sh was ended by signal 11 (segmentation fault)" {
		t.Errorf("Run = %v; want the signal", err)
	}
}

func TestToolsGetNothingOfTheAgentsEnvironment(t *testing.T) {
	t.Setenv("SECRET", "x")
	out, err := Run(context.Background(), "env")
	if err != nil || strings.Contains(out, "SECRET") || !strings.Contains(out, "LC_ALL=C\n") {
		t.Errorf("env printed %q, %v; want PATH and LC_ALL=C alone", out, err)
	}
}

func TestErrorsStayOnOneLine(t *testing.T) {
	e := &Error{Args: []string{"/usr/sbin/fsck"}, ExitCode: 4, Stderr: "a\nb\n" + strings.Repeat("ü", 1000)}
	if s := e.Error(); strings.Contains(s, "\n") || len(s) > 500 || !utf8.ValidString(s) {
		t.Errorf("the error is %q; want a line of valid text", s)
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
