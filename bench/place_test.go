package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

// notes is an engine that writes down what it is asked.
type notes struct {
	specs []Spec
	log   []string
	err   error
}

func (*notes) Name() string { return "notes" }

func (n *notes) Run(_ context.Context, s Spec) (Measurement, error) {
	n.specs = append(n.specs, s)
	n.log = append(n.log, s.Job.Name)
	return Measurement{Elapsed: s.Runtime}, n.err
}

func TestPlaceIsMadeReadyBeforeEachRunAndThatIsEndedAfterIt(t *testing.T) {
	for _, c := range []struct {
		name        string
		before, run error
		after       error
		want        string
		failed      string
	}{
		{name: "well", want: "before write after before write after"},
		{name: "the run fails", run: errors.New("no disk"), want: "before write after", failed: "no disk"},
		{name: "it cannot be made ready", before: errors.New("no snapshot"), want: "before", failed: "no snapshot"},
		{name: "it cannot be ended", after: errors.New("not removed"), want: "before write after", failed: "not removed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			engine := &notes{err: c.run}
			place := &Place{Name: "p", Baseline: "b", Once: true, Offset: 7 * lvm.MiB, Size: lvm.MiB, Shared: true}
			place.Before = func(context.Context) (func() error, error) {
				engine.log = append(engine.log, "before")
				return func() error { engine.log = append(engine.log, "after"); return c.after }, c.before
			}
			place.Refuses = func(j Job) string {
				if !j.Writes() {
					return "reads nothing"
				}
				return ""
			}
			profile := Profile{Runtime: time.Second, WarmUp: time.Second, Repetitions: 2, Jobs: []Job{{Name: "read", Pattern: Read}, {Name: "write", Pattern: Write}}}
			stages, err := Run(t.Context(), Plan{Profile: profile, Engine: engine, Places: []*Place{place}})
			if got := strings.Join(engine.log, " "); got != c.want {
				t.Errorf("%s; want %s", got, c.want)
			}
			if (err != nil) != (c.failed != "") || !strings.Contains(fmt.Sprint(err), c.failed) && c.failed != "" {
				t.Errorf("%v; want an error with %q", err, c.failed)
			}
			if s := stages[0]; s.Baseline != "b" || s.Skipped != "reads nothing" || len(s.Jobs) != 1 || !strings.Contains(s.Jobs[0].Error, c.failed) {
				t.Errorf("%+v", s)
			}
			for _, s := range engine.specs {
				if !s.Once || s.WarmUp != 0 || s.Offset != 7*lvm.MiB {
					t.Errorf("%+v; want each block once, from 7Mi on, and none in a warm-up", s)
				}
			}
		})
	}
}

func TestBothEnginesBeginWhereTheyAreTold(t *testing.T) {
	lvmtest.Anywhere(t)
	const part = lvm.MiB
	fio := Fio{version: "3.33", library: libaio}
	engines := []Engine{Direct{}}
	if found, err := FindFio(t.Context(), libaio); err == nil {
		engines = append(engines, found)
	}
	for _, e := range engines {
		for _, j := range []Job{{Name: "direct", Pattern: RandWrite, BlockSize: 64 * lvm.KiB, Depth: 4}, {Name: "log", Pattern: Write, BlockSize: 2300, Depth: 1, Sync: true}} {
			t.Run(e.Name()+" "+j.Name, func(t *testing.T) {
				path := written(t, 3*part)
				if _, err := e.Run(t.Context(), Spec{Job: j, Path: path, Offset: part, Size: part, Once: true}); err != nil {
					t.Fatal(err)
				}
				all, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				blank := func(b []byte) bool { return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) }
				if len(all) != int(3*part) || !blank(all[:part]) || !blank(all[2*part:]) || blank(all[part:part+4096]) {
					t.Error("it wrote elsewhere than in the second of three MiB")
				}
			})
		}
	}
	if args := fio.arguments(Spec{Offset: part, Size: part, Job: Job{BlockSize: 1000}}, "log"); !slices.Contains(args, "--offset=1048576") || !slices.Contains(args, "--size=1048000") {
		t.Errorf("%q: want an offset, and whole blocks", args)
	}
}
