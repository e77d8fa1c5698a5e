package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPodTellsItsResultAndStaysUntilItIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		told, stays time.Duration
	}{
		"to end": {30 * time.Second, 30 * time.Second}, "nothing": {time.Hour, heard}, "before": {0, heardAtOnce},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.told)
				defer cancel()
				var out, errs strings.Builder
				a := &app{stdout: &out, stderr: &errs, getenv: func(string) string { return "" }, now: time.Now, name: "loam"}
				began := time.Now()
				code := a.run(ctx, []string{"bench", "pod", "/none", "--engine", "built-in"})
				if code != exitFailed || !strings.Contains("\n"+out.String(), "\nloam: ") || !strings.HasSuffix(out.String(), "ended 1\n") {
					t.Errorf("exit %d, %s%s; want why, and that it ended with 1", code, &out, &errs)
				}
				if took := time.Since(began); took != c.stays {
					t.Errorf("it stayed for %v, want %v", took, c.stays)
				}
			})
		})
	}
}
