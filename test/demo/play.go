package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/loam-storage/loam/node/admin"
)

// demo is a run of the demo: what it was given, and what one step leaves for another.
type demo struct {
	screen  *screen
	loam    string   // path of the binary
	blank   []string // disks that may be taken
	foreign string   // the disk with someone's data
	agent   *agent
	// operator asks the agent without a process of its own, which is not quick to start in a guest.
	operator *admin.Client

	foreignSum string // of the whole disk
	fileSum    string // of the file when the snapshot was taken
	empty      space  // of the pool before it had a volume
}

// step is one thing that the demo shows. do returns what it proved, in a few words.
type step struct {
	title string
	do    func(context.Context) (proof string, err error)
}

// play shows the steps one after another until one fails, and stops the agent in any case.
func (d *demo) play(ctx context.Context, steps []step) (err error) {
	start := time.Now()
	for i, s := range steps {
		d.screen.title(i+1, s.title)
		began := time.Now()
		proof, err := d.watched(ctx, s)
		if err != nil {
			d.giveUp()
			return fmt.Errorf("step %d (%s) failed: %w", i+1, s.title, err)
		}
		d.screen.done(proof, time.Since(began))
	}
	d.screen.print("\nAll %d steps went as they should, in %.1f s.", len(steps), time.Since(start).Seconds())
	return nil
}

// watched runs a step beside a clock.
func (d *demo) watched(ctx context.Context, s step) (string, error) {
	done := make(chan struct{})
	var clock sync.WaitGroup
	clock.Go(func() { d.screen.watch("still at it", done) })
	defer clock.Wait()
	defer close(done)
	return s.do(ctx)
}

// giveUp stops the agent, if it runs, and shows the end of its log.
func (d *demo) giveUp() {
	if d.agent == nil {
		return
	}
	if err := d.agent.stop(); err != nil {
		d.screen.print("%s%v", indent, err)
	}
	d.screen.print("\nThe end of the agent's log:\n%s", d.agent.logTail())
}

// shell shows a line as a person would type it, runs it, shows what it prints, and returns that.
func (d *demo) shell(ctx context.Context, line string) (string, error) {
	d.screen.command(line)
	var output bytes.Buffer
	show := &indented{screen: d.screen}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-ec", line)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(d.loam)+":"+os.Getenv("PATH"))
	cmd.Stdout = io.MultiWriter(&output, show)
	cmd.Stderr = show
	err := cmd.Run()
	show.flush()
	if err != nil {
		return "", fmt.Errorf("%s: %w", line, err)
	}
	return output.String(), nil
}

// shells runs several lines.
func (d *demo) shells(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		if _, err := d.shell(ctx, line); err != nil {
			return err
		}
	}
	return nil
}

// pool asks the agent for the pool, for a check that is not shown.
func (d *demo) pool(ctx context.Context) (admin.Pool, error) {
	pools, err := d.operator.Pools(ctx)
	if err == nil && (len(pools) != 1 || pools[0].Name != "fast") {
		err = fmt.Errorf("the pools should be one, named fast, and are %+v", pools)
	}
	if err != nil {
		return admin.Pool{}, err
	}
	return pools[0], nil
}
