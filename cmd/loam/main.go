// Command loam is the whole of Loam in one binary: the agent that a node runs, and the commands with which an operator
// asks it what is there, why not, and for what should be there. One short file per sub-command turns flags into values
// and hands them to the package that does the work; errors become one sentence and an exit code in errors.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Once work winds down, a second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	a := &app{stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, now: time.Now, name: filepath.Base(os.Args[0])}
	a.reach = a.cluster
	os.Exit(a.run(ctx, os.Args[1:]))
}
