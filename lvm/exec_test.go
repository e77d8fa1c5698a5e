package lvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// script makes LVM of a shell script, which may look at one device, and whose working folder is in $0.
func script(t *testing.T, o Options, body string) (*LVM, string) {
	t.Helper()
	dir := t.TempDir()
	o.Binary = filepath.Join(dir, "lvm")
	if err := os.WriteFile(o.Binary, []byte("#!/bin/sh\ncd \"$(dirname \"$0\")\"\n"+body), 0o755); err != nil {
		t.Fatal(err)
	}
	l := New(o)
	l.flush = func(string) error { return nil }
	l.SetDevices([]string{"/dev/null"})
	return l, dir
}

func TestCommandSeesACleanEnvironment(t *testing.T) {
	t.Setenv("LVM_SYSTEM_DIR", "/tmp/evil")
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	l, _ := script(t, Options{}, "tr '\\0' '\\n' </proc/self/environ; readlink /proc/self/fd/0; cut -d' ' -f5 /proc/$$/stat; echo $$")
	out, err := l.run([]string{"lvs"})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(out))
	for _, want := range append(slices.Clone(environment), "/dev/null") {
		if !slices.Contains(lines, want) {
			t.Errorf("the command does not see %q: %q", want, lines)
		}
	}
	if strings.Contains(string(out), "evil") || strings.Contains(string(out), "de_DE") {
		t.Errorf("the command sees our environment: %q", lines)
	}
	if n := len(lines); lines[n-1] != lines[n-2] {
		t.Errorf("process %s is in the process group %s, which a terminal's Ctrl-C reaches", lines[n-1], lines[n-2])
	}
}

func TestCommandErrorSaysHowItEnded(t *testing.T) {
	l, _ := script(t, Options{}, `echo "  Volume group vg not found" >&2; [ "$1" = lvs ] && exit 5; kill -TERM $$`)
	_, err := l.run([]string{"lvs", "vg"})
	var e *CommandError
	if !errors.As(err, &e) || e.ExitCode != 5 || e.Signal != 0 || !slices.Equal(e.Args, []string{"lvs", "vg"}) || e.Stderr != "  Volume group vg not found\n" {
		t.Errorf("the error is %#v", err)
	}
	_, err = l.run([]string{"vgs"})
	if !errors.As(err, &e) || e.ExitCode != -1 || e.Signal != syscall.SIGTERM {
		t.Errorf("the error is %#v", err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	f, err := memoryFile("test")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("0123456789"); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int64]string{9: "012345678", 10: "0123456789", 11: "0123456789"} {
		data, truncated, err := contents(f, limit)
		if err != nil || string(data) != want || truncated != (limit < 10) {
			t.Errorf("limit %d: %q, truncated %v, error %v", limit, data, truncated, err)
		}
	}
	l, _ := script(t, Options{}, "head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 5")
	var e *CommandError
	if _, err := l.run([]string{"lvs"}); !errors.As(err, &e) || len(e.Stderr) != maxStderr {
		t.Errorf("kept %d bytes of what it said, expected %d", len(e.Stderr), maxStderr)
	}
}

func TestObserverSeesEachProcess(t *testing.T) {
	var seen []Command
	l, _ := script(t, Options{Observe: func(c Command) { seen = append(seen, c) }}, `sleep 0.05; [ "$1" != lvremove ] || exit 5; echo '{"report":[]}'`)
	if _, err := l.Report(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := l.Remove("vg", "a"); err == nil {
		t.Fatal("no error")
	}
	if len(seen) != 2 || seen[0].Args[0] != "fullreport" || seen[0].ExitCode != 0 || seen[0].Err != nil || seen[0].Duration < 50*time.Millisecond {
		t.Fatalf("seen %+v", seen)
	}
	if seen[1].Args[0] != "lvremove" || seen[1].ExitCode != 5 || seen[1].Err == nil {
		t.Errorf("seen %+v", seen[1])
	}
}

func TestBinaryIsFoundOrSaidToBeMissing(t *testing.T) {
	l := New(Options{Binary: filepath.Join(t.TempDir(), "lvm")})
	l.SetDevices([]string{"/dev/null"})
	if err := l.Available(); !errors.Is(err, ErrNoLVM) {
		t.Errorf("the error is %v, expected ErrNoLVM", err)
	}
	if _, err := l.Report(context.Background()); !errors.Is(err, ErrNoLVM) {
		t.Errorf("the error is %v, expected ErrNoLVM", err)
	}
}

func TestOddDevicesNeverReachLVM(t *testing.T) {
	l, dir := script(t, Options{}, "touch ran")
	l.SetDevices([]string{"/dev/sda", "/dev/a,/dev/b"})
	if _, err := l.Report(context.Background()); !errors.Is(err, ErrName) {
		t.Errorf("the error is %v, expected ErrName", err)
	}
	if err := l.Remove("vg", "a"); !errors.Is(err, ErrName) {
		t.Errorf("the error is %v, expected ErrName", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("lvm ran")
	}
}

// agentEnv makes the test binary an agent that runs one command, to be killed in the middle of it.
const agentEnv = "LVM_TEST_AGENT"

func TestMain(m *testing.M) {
	if binary := os.Getenv(agentEnv); binary != "" {
		l := New(Options{Binary: binary})
		l.SetDevices([]string{"/dev/null"})
		fmt.Println(l.Remove("vg", "a"))
		return
	}
	os.Exit(m.Run())
}

// An agent that is killed, or whose terminal gets Ctrl-C, must not take its command with it.
func TestCommandOutlivesTheAgent(t *testing.T) {
	l, dir := script(t, Options{}, `touch begun; while [ ! -e go ]; do sleep 0.01; done; echo out; echo err >&2; echo more >&2; touch ended`)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	agent := exec.Command(exe)
	agent.Env = append(os.Environ(), agentEnv+"="+l.binary)
	agent.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, filepath.Join(dir, "begun"))
	// The whole process group, as a terminal or `kill -9 -<group>` does.
	if err := syscall.Kill(-agent.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait() // killed
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wait(t, filepath.Join(dir, "ended"))
}

func wait(t *testing.T, file string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not appear", filepath.Base(file))
		}
	}
}

func TestOneChangeAtATimeInAGroup(t *testing.T) {
	l, dir := script(t, Options{}, `for last; do :; done; vg=${last%%/*}
mkdir "$vg" || { echo "two at once in $vg" >&2; exit 5; }
sleep 0.02; rmdir "$vg"; echo "$vg" >>log`)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if err := l.Remove([]string{"one", "two"}[i%2], "a"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if log, err := os.ReadFile(filepath.Join(dir, "log")); err != nil || bytes.Count(log, []byte("\n")) != 10 {
		t.Errorf("%q, error %v", log, err)
	}
}

func TestBlockedGroupDoesNotBlockAnother(t *testing.T) {
	l, dir := script(t, Options{}, `for last; do :; done
case $last in slow/*) touch begun; while [ ! -e go ]; do sleep 0.01; done;; esac
[ "$1" != fullreport ] || echo '{"report":[]}'`)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Remove("slow", "a"); err != nil {
			t.Error(err)
		}
	})
	wait(t, filepath.Join(dir, "begun"))
	if err := l.Remove("other", "a"); err != nil {
		t.Error(err)
	}
	if _, err := l.Report(context.Background()); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}
