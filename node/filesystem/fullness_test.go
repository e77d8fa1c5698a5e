package filesystem

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestFileSystemsAreFoundOnceByTheirDevices(t *testing.T) {
	all := []Mount{
		{Target: "/", Root: "/", Major: 8},
		{Target: "/staging/a", Root: "/", Major: 253, Minor: 1},
		{Target: "/pods/a", Root: "/", Major: 253, Minor: 1},
		{Target: "/pods/a/folder", Root: "/folder", Major: 253, Minor: 1},
		{Target: "/staging/b", Root: "/", Major: 253, Minor: 2},
	}
	got := byDevice(all, func(major, _ uint32) bool { return major == 253 })
	if len(got) != 2 || got[0].Minor != 1 || !slices.Equal(got[0].Targets, []string{"/staging/a", "/pods/a"}) || got[1].Minor != 2 {
		t.Errorf("found %+v", got)
	}
}

func TestAFileSystemThatHangsIsLeftOutAndNotAskedAgain(t *testing.T) {
	var f Fullness
	found := []Mounted{{Minor: 1, Targets: []string{"hangs"}}, {Minor: 2, Targets: []string{"answers"}}, {Minor: 3, Targets: []string{"/no such folder"}}}
	var asked atomic.Int64 // of the one that hangs
	answer := make(chan struct{})
	usage := func(path string) (Usage, error) {
		switch path {
		case "hangs":
			asked.Add(1)
			<-answer
			fallthrough
		case "answers":
			return Usage{Total: 7}, nil
		}
		return UsageOf(path)
	}
	for i, most := range []time.Duration{patience + 5*time.Second, patience / 2} {
		begun := time.Now()
		got := f.ask(found, usage)
		if len(got) != 1 || got[0].Minor != 2 || got[0].Usage.Total != 7 {
			t.Errorf("look %d told %+v", i, got)
		}
		if took := time.Since(begun); took > most {
			t.Errorf("look %d took %v, expected at most %v", i, took, most)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("what hangs was asked %d times, want once", n)
	}
	close(answer)
	for deadline := time.Now().Add(10 * time.Second); len(f.ask(found, usage)) != 2; {
		if time.Now().After(deadline) {
			t.Fatal("it answered, and is not asked any more")
		}
	}
}
