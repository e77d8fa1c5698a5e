package lvm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A report that hangs, on a device that does not answer, must neither hold its callers nor pile up processes.
func TestReportsDoNotPileUp(t *testing.T) {
	l, dir := script(t, Options{}, `echo x >>ran; while [ ! -e go ]; do sleep 0.01; done; echo '{"report":[]}'`)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := l.Report(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v, expected context.Canceled", err)
		}
	})
	wait(t, filepath.Join(dir, "ran"))
	cancel()
	wg.Wait() // the first caller has left, its process runs
	const late = 50
	var begun sync.WaitGroup
	begun.Add(late)
	for range late {
		wg.Go(func() {
			f := l.board()
			begun.Done()
			<-f.done
			if f.err != nil {
				t.Error(f.err)
			}
		})
	}
	begun.Wait() // all have boarded before the first process ends
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	l.Wait()
	if ran, err := os.ReadFile(filepath.Join(dir, "ran")); err != nil || strings.Count(string(ran), "x") != 2 {
		t.Errorf("%d processes ran for %d callers, expected 2", strings.Count(string(ran), "x"), late+1)
	}
}

// A caller must see what was done before it asked, so it cannot share a process that began earlier.
func TestReportIsNotOlderThanItsCall(t *testing.T) {
	l, dir := script(t, Options{}, `n=$(cat n 2>/dev/null || echo 0)
echo x >>ran; while [ ! -e go ]; do sleep 0.01; done
echo "{\"report\":[{\"vg\":[{\"vg_name\":\"vg$n\"}]}]}"`)
	first := l.board()
	wait(t, filepath.Join(dir, "ran"))
	second := l.board()
	for name, text := range map[string]string{"n": "1", "go": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	<-first.done
	<-second.done
	if _, ok := first.report.VolumeGroup("vg0"); !ok || first == second {
		t.Errorf("the first report is %+v", first.report)
	}
	if _, ok := second.report.VolumeGroup("vg1"); !ok {
		t.Errorf("the second report is %+v, older than its call", second.report)
	}
}

const twoGroups = `{"report":[
{"vg":[{"vg_name":"one"}],"pv":[{"pv_name":"/dev/a","pv_uuid":"1"},{"pv_name":"[unknown]","pv_missing":"missing"}]},
{"vg":[{"vg_name":"two"}],"pv":[{"pv_name":"/dev/b","pv_uuid":"2"},{"pv_name":"/dev/c","pv_uuid":"3"}]}]}`

func TestDevicesOfTheGroupAreFlushed(t *testing.T) {
	l, _ := script(t, Options{}, `[ "$1" != fullreport ] || cat <<'END'`+"\n"+twoGroups+"\nEND")
	var flushed []string
	l.flush = func(device string) error {
		flushed = append(flushed, device)
		return nil
	}
	all := []string{"/dev/a", "/dev/b", "/dev/c", "/dev/d"}
	l.SetDevices(all)
	report := func() error { _, err := l.Report(context.Background()); return err }
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"unknown group", func() error { return l.Remove("one", "x") }, all},
		{"report", report, nil},
		{"one device is missing", func() error { return l.Remove("one", "x") }, []string{"/dev/a"}},
		{"known group", func() error { return l.Rename("two", "x", "y") }, []string{"/dev/b", "/dev/c"}},
		{"flush alone", func() error { return l.Flush("two") }, []string{"/dev/b", "/dev/c"}},
		{"group is extended", func() error { return l.ExtendGroup("two", 0, "/dev/d") }, all},
		{"group was extended", func() error { return l.Remove("two", "x") }, all},
		{"other group", func() error { return l.Remove("one", "x") }, []string{"/dev/a"}},
		{"report again", report, nil},
		{"group is known again", func() error { return l.Remove("two", "x") }, []string{"/dev/b", "/dev/c"}},
	} {
		flushed = nil
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if !slices.Equal(flushed, step.want) {
			t.Errorf("%s: flushed %q, expected %q", step.name, flushed, step.want)
		}
	}
}

// A report that began before a group grew must not make its new device forgotten.
func TestOldReportDoesNotHideANewDevice(t *testing.T) {
	l := New(Options{})
	l.SetDevices([]string{"/dev/a", "/dev/b"})
	began := l.changes
	l.toFlush("vg", []string{"/dev/b"})
	l.learn(Report{VolumeGroups: []VolumeGroup{{Name: "vg", PVs: []PhysicalVolume{{Device: "/dev/a"}}}}}, began)
	if got := l.toFlush("vg", nil); !slices.Equal(got, []string{"/dev/a", "/dev/b"}) {
		t.Errorf("%q would be flushed, expected both", got)
	}
}

func TestFailedFlushIsToldFromAFailedChange(t *testing.T) {
	l, _ := script(t, Options{}, `[ "$1" != lvrename ] || exit 5`)
	broken := errors.New("input/output error")
	flushes := 0
	l.flush = func(string) error { flushes++; return broken }
	if err := l.Remove("vg", "a"); !errors.Is(err, ErrNotDurable) || !errors.Is(err, broken) {
		t.Errorf("the error is %v, expected ErrNotDurable and its cause", err)
	}
	if err := l.Rename("vg", "a", "b"); errors.Is(err, ErrNotDurable) || err == nil {
		t.Errorf("the error is %v, expected the command's", err)
	}
	if flushes != 2 {
		t.Errorf("%d flushes, expected one after each command, also a failed one", flushes)
	}
	l.flush = func(string) error { return os.ErrNotExist }
	if err := l.Remove("vg", "a"); err != nil {
		t.Errorf("a device that is gone: %v", err)
	}
}

func TestSharedReportsAreCopies(t *testing.T) {
	r := Report{
		VolumeGroups: []VolumeGroup{{Tags: []string{"a"}, PVs: []PhysicalVolume{{Tags: []string{"a"}}}, LVs: []LogicalVolume{{Tags: []string{"a"}}}}},
		Unused:       []PhysicalVolume{{Tags: []string{"a"}}},
	}
	c := r.clone()
	c.Unused[0].Tags[0], c.VolumeGroups[0].Tags[0] = "b", "b"
	c.VolumeGroups[0].PVs[0].Tags[0], c.VolumeGroups[0].LVs[0].Tags[0], c.VolumeGroups[0].LVs[0].Name = "b", "b", "b"
	vg := r.VolumeGroups[0]
	if r.Unused[0].Tags[0] != "a" || vg.Tags[0] != "a" || vg.PVs[0].Tags[0] != "a" || vg.LVs[0].Tags[0] != "a" || vg.LVs[0].Name != "" {
		t.Errorf("a caller changed another's report: %+v", r)
	}
}
