package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const interval = 2 * time.Second

// watched is a Watcher that runs on a file in a bubble of synctest.
type watched struct {
	*Watcher
	t    *testing.T
	path string

	mu    sync.Mutex
	calls []string // what changed was told: the first pool's reserve, and the problem
}

func watch(t *testing.T, path string) *watched {
	t.Helper()
	w, err := NewWatcher(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &watched{Watcher: w, t: t, path: path}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { w.Run(ctx, interval, s.changed) })
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
	return s
}

func (s *watched) changed(c Config, problem error) {
	told := c.Pools[0].Reserve.String()
	if problem != nil {
		told += " " + problem.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, told)
}

// after n intervals, changed must have been told that, in all, since the last time.
func (s *watched) after(n int, want ...string) {
	s.t.Helper()
	time.Sleep(time.Duration(n) * interval)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	ok := len(want) == len(s.calls)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.HasPrefix(s.calls[i], want[i])
	}
	if !ok {
		s.t.Fatalf("told %q, want %q", s.calls, want)
	}
	s.calls = nil
}

func reserving(reserve string) string {
	return "pools:\n- name: a\n  devices: {paths: [/dev/sdb]}\n  reserve: " + reserve + "\n"
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWatcherKeepsTheLastGoodConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loam.yaml")
	write(t, path, reserving("1%"))
	synctest.Test(t, func(t *testing.T) {
		s := watch(t, path)
		s.after(3)
		write(t, path, reserving("2%"))
		s.after(3, "2%")
		write(t, path, reserving("2"+"00%"))
		s.after(3, "2% "+path+":4: pools[0].reserve: ")
		if s.Config().Pools[0].Reserve.String() != "2%" || s.Problem() == nil {
			t.Errorf("in use: %v, problem %v", s.Config(), s.Problem())
		}
		s.after(5) // said once
		write(t, path, reserving("2%"))
		s.after(3, "2%")
		if s.Problem() != nil {
			t.Errorf("problem %v after it was put right", s.Problem())
		}
	})
}

func TestWatcherChangesNothingWhenSomethingCannotBeChangedInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loam.yaml")
	write(t, path, reserving("1%"))
	synctest.Test(t, func(t *testing.T) {
		s := watch(t, path)
		write(t, path, reserving("2%")+"  stripes: 4\n")
		s.after(3, "1% "+path+":5: pools[0].stripes: pool a has 1, and this cannot be changed")
		write(t, path, reserving("2%"))
		s.after(3, "2%")
	})
}

func TestWatcherWaitsForAHalfWrittenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loam.yaml")
	write(t, path, reserving("1%"))
	synctest.Test(t, func(t *testing.T) {
		s := watch(t, path)
		whole := reserving("2%") + "- {name: b, devices: {paths: [/dev/sdc]}}\n"
		for _, part := range []int{0, 10, 70, len(whole) - 5} {
			write(t, path, whole[:part])
			s.after(1)
		}
		write(t, path, whole)
		s.after(3, "2%")
		if n := len(s.Config().Pools); n != 2 {
			t.Errorf("%d pools, want 2", n)
		}
	})
}

func TestWatcherSurvivesAMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loam.yaml")
	write(t, path, reserving("1%"))
	synctest.Test(t, func(t *testing.T) {
		s := watch(t, path)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		s.after(3, "1% reading the configuration: ")
		s.after(3)
		write(t, path, reserving("1%"))
		s.after(3, "1%")
	})
}

// TestWatcherFollowsAConfigMap swaps the link as the kubelet does (pkg/volume/util, AtomicWriter).
func TestWatcherFollowsAConfigMap(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "loam.yaml"), text)
		next := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(name, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", reserving("1%"))
	path := filepath.Join(dir, "loam.yaml")
	if err := os.Symlink("..data/loam.yaml", path); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := watch(t, path)
		version("..2", reserving("2%"))
		if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
			t.Fatal(err)
		}
		s.after(3, "2%")
	})
}

func TestWatcherNeedsAGoodFileToStartWith(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loam.yaml")
	if _, err := NewWatcher(path); err == nil {
		t.Error("started without a file")
	}
	write(t, path, "pools: 5")
	if _, err := NewWatcher(path); err == nil {
		t.Error("started with a bad file")
	}
}

func TestWatcherResumesWithWhatWasGoodBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte("pools: [{}]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, problem := NewWatcher(path)
		for text, pools := range map[string]int{"": 0, "pools: oops\n": 0, "pools:\n- {name: fast, devices: {paths: [/dev/a]}}\n": 1} {
			w := Resume(path, text, problem)
			if !errors.Is(w.Problem(), problem) || len(w.Config().Pools) != pools || (pools > 0) != (w.Text() == text && text != "") {
				t.Errorf("%q: %v, %+v, %q", text, w.Problem(), w.Config(), w.Text())
			}
		}

		w := Resume(path, "pools:\n- {name: fast, devices: {paths: [/dev/a]}}\n", problem)
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		var told []error
		done.Go(func() { w.Run(ctx, interval, func(_ Config, problem error) { told = append(told, problem) }) })
		time.Sleep(3 * interval)
		mended := "pools:\n- {name: fast, devices: {paths: [/dev/a, /dev/b]}}\n"
		if err := os.WriteFile(path, []byte(mended), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * interval)
		cancel()
		done.Wait()
		if len(told) != 2 || told[0] == nil || told[1] != nil || w.Text() != mended || w.Problem() != nil {
			t.Errorf("told %v; in use: %q, %v", told, w.Text(), w.Problem())
		}
	})
}
