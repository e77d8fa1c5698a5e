package claim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/loam-storage/loam/bench"
)

func stages(r bench.Report) (names []string) {
	for _, s := range r.Stages {
		names = append(names, s.Name)
	}
	return names
}

func TestEachFitNodeIsMeasuredAndTheOthersAreNamed(t *testing.T) {
	inCluster(t, func(f *fakeCluster) {
		f.log = func(_ string, after time.Duration) string {
			return "loam bench: seq-read, 1 of 3\n" + whenDone(after, resultText(t))
		}
		r, err := f.gather(f.Context(), func(*Wanted) {})
		if err != nil || !slices.Equal(stages(r), []string{"k1", "k2", "k3"}) || r.Kind != bench.OfClaims {
			t.Fatalf("%s of %v, %v; want claims on k1, k2, k3", r.Kind, stages(r), err)
		}
		if len(r.Stages[0].Jobs) != 1 || len(r.Stages[1].Jobs) != 1 || r.Stages[2].Skipped != "it is cordoned" {
			t.Errorf("%+v; want jobs on k1 and k2, and why not on k3", r.Stages)
		}
		if r.Host.Name != "k1, k2" || len(r.Labels) > 0 || r.Ended.Sub(r.Started) < 20*time.Second {
			t.Errorf("%+v; want both nodes' names, one after the other, and no doubts", r)
		}
		if want := []string{
			"k3: skipped: it is cordoned", "a claim of 1 GiB of class fast in namespace shop, measured for about 1m0s on each of 2 nodes", "k1: seq-read, 1 of 3", "1 of 2 nodes are done, about 11s left",
			"k2: seq-read, 1 of 3",
		}; !slices.Equal(f.told, want) {
			t.Errorf("told %q, want %q", f.told, want)
		}
	})
}

func TestNodesAreMeasuredTogetherWhenAskedFor(t *testing.T) {
	inCluster(t, func(f *fakeCluster) {
		r, err := f.gather(f.Context(), func(w *Wanted) { w.Parallel = 2 })
		if err != nil || !slices.Equal(stages(r), []string{"k1", "k2", "k3"}) || r.Ended.Sub(r.Started) > 20*time.Second {
			t.Errorf("%v, %v after %v; want both nodes at a time", stages(r), err, r.Ended.Sub(r.Started))
		}
	})
}

func TestWithoutANodeTheSchedulerChooses(t *testing.T) {
	inCluster(t, func(f *fakeCluster) {
		r, err := f.gather(f.Context(), func(w *Wanted) { w.Each = false })
		if err != nil || !slices.Equal(stages(r), []string{"k1"}) || r.Host.Name != "k1" {
			t.Errorf("%v of %s, %v; want k1 alone", stages(r), r.Host.Name, err)
		}
	})
}

func TestVolumesOfAClassThatKeepsThemGoNevertheless(t *testing.T) {
	inCluster(t, func(f *fakeCluster) {
		if _, err := f.gather(f.Context(), func(w *Wanted) { w.Each, w.Class = false, "kept" }); err != nil {
			t.Error(err)
		}
	})
}

func TestInterruptedRunLeavesNothingAndKeepsWhatThereIs(t *testing.T) {
	for _, after := range []time.Duration{time.Second, 15 * time.Second} {
		inCluster(t, func(f *fakeCluster) {
			f.became = func(_ string, after time.Duration) corev1.PodStatus {
				return atWork(after, time.Hour, 0)
			}
			ctx, cancel := context.WithTimeout(f.Context(), after)
			defer cancel()
			r, err := f.gather(ctx, func(*Wanted) {})
			if err == nil {
				t.Fatal("no error; want that it was interrupted")
			}
			if after == time.Second {
				if len(r.Stages) > 0 || errors.Is(err, ErrPartial) {
					t.Errorf("%v, %v; want no report", stages(r), err)
				}
				return
			}
			if !errors.Is(err, ErrPartial) || !slices.Contains(r.Labels, bench.Partial) || len(r.Stages) != 3 || len(r.Stages[0].Jobs) != 1 {
				t.Errorf("%+v, %v; want k1, marked as partial", r, err)
			}
		})
	}
}

func TestWhatAPodSaysWhenItIsToldToEndIsKept(t *testing.T) {
	inCluster(t, func(f *fakeCluster) {
		f.became = func(_ string, after time.Duration) corev1.PodStatus { return atWork(after, time.Hour, 0) }
		f.slow = 3
		f.log = func(string, time.Duration) string {
			f.mutex.Lock()
			defer f.mutex.Unlock()
			if !f.ending {
				return ""
			}
			return "loam: interrupted\n" + strings.Replace(resultText(t), "ended 0", "ended 1", 1)
		}
		r, err := f.gather(f.Context(), func(w *Wanted) { w.Each, w.Timeout = false, 10*time.Second })
		if !errors.Is(err, ErrPartial) || len(r.Stages) != 1 || len(r.Stages[0].Jobs) != 1 || !strings.Contains(err.Error(), "k1: it did not end within 10s") {
			t.Errorf("%+v, %v; want what k1 said, and the time-out", r, err)
		}
	})
}

func TestANodeThatFailsDoesNotTakeTheOthersWithIt(t *testing.T) {
	inCluster(t, func(f *fakeCluster) {
		f.became = func(node string, after time.Duration) corev1.PodStatus {
			return atWork(after, 5*time.Second, map[string]int32{"k1": 1}[node])
		}
		f.log = func(node string, _ time.Duration) string {
			return map[string]string{"k1": "loam: could not measure /volume: no direct I/O\nended 1\n", "k2": resultText(t)}[node]
		}
		r, err := f.gather(f.Context(), func(*Wanted) {})
		want := "k1: could not measure /volume: no direct I/O"
		if !errors.Is(err, ErrPartial) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
		if len(r.Stages) != 3 || !strings.Contains(r.Stages[0].Skipped, "no direct I/O") || len(r.Stages[1].Jobs) != 1 || !slices.Contains(r.Labels, bench.Partial) {
			t.Errorf("%+v; want why k1 failed, and k2's figures", r)
		}
	})
}

func TestAPodThatDoesNotStartSaysWhy(t *testing.T) {
	pending := func(s corev1.PodStatus) corev1.PodStatus { s.Phase = corev1.PodPending; return s }
	image := func(reason string) corev1.PodStatus {
		return containerIs(corev1.PodPending, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: `"loam:1" not found`}})
	}
	for name, c := range map[string]struct {
		status corev1.PodStatus
		event  []string
		want   []string
		within time.Duration
	}{
		"unschedulable": {
			pending(corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes are available"}}}),
			[]string{"PersistentVolumeClaim", "-abcde-volume", "ProvisioningFailed", `no node has the pool "fsat"`},
			[]string{"it did not start within 1m0s", "its pod has no node: 0/3 nodes are available", `ProvisioningFailed: no node has the pool "fsat"`}, 2 * time.Minute,
		},
		"image":    {image("ImagePullBackOff"), nil, []string{`its container does not start: ImagePullBackOff: "loam:1" not found`}, 10 * time.Second},
		"pulling":  {image("ErrImagePull"), nil, []string{`it did not start within 1m0s`, `its container waits: ErrImagePull: "loam:1" not found`}, 2 * time.Minute},
		"security": {corev1.PodStatus{}, []string{"Job", "", "FailedCreate", `violates PodSecurity "restricted:latest"`}, []string{`Kubernetes makes no pod: job loam-bench-`, `violates PodSecurity`}, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, func(f *fakeCluster) {
				f.became = func(string, time.Duration) corev1.PodStatus { return c.status }
				if c.event != nil {
					tick := time.AfterFunc(3*time.Second, func() { f.event(c.event[0], c.event[1], c.event[2], c.event[3]) })
					defer tick.Stop()
				}
				began := time.Now()
				_, err := f.gather(f.Context(), func(w *Wanted) { w.Each = false })
				for _, want := range c.want {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%v; want %q", err, want)
					}
				}
				if took := time.Since(began); took > c.within {
					t.Errorf("said after %v, want within %v", took, c.within)
				}
			})
		})
	}
}

func TestNothingIsMadeForWhatCannotBe(t *testing.T) {
	for want, c := range map[string]struct {
		change func(*Wanted)
		denied string
		is     error
	}{
		"no such StorageClass: slow; there are fast, kept": {func(w *Wanted) { w.Class = "slow" }, "", ErrNoClass},
		"no such node: k9":                                             {func(w *Wanted) { w.Each, w.Node = false, "k9" }, "", ErrNoNode},
		"node k3 cannot be measured: it is cordoned":                   {func(w *Wanted) { w.Each, w.Node = false, "k3" }, "", nil},
		"not permitted to you: create jobs.batch in namespace shop":    {func(*Wanted) {}, "create jobs", ErrForbidden},
		"not permitted to you: list nodes":                             {func(*Wanted) {}, "list nodes", ErrForbidden},
		"not permitted to you: patch persistentvolumes":                {func(w *Wanted) { w.Class = "kept" }, "patch persistentvolumes", ErrForbidden},
		"no node is fit to be measured":                                {func(w *Wanted) { w.Size = 20 << 30 }, "", nil},
		"one node and each node: expected either":                      {func(w *Wanted) { w.Node = "k1" }, "", nil},
		"a file of 2 GiB in a claim of 1 GiB: expected at least 1 MiB": {func(w *Wanted) { w.File = 2 << 30 }, "", nil},
		"0 nodes at a time: expected at least 1":                       {func(w *Wanted) { w.Parallel = 0 }, "", nil},
		"waits of 1ms and 1h0m0s: expected at least 1s":                {func(w *Wanted) { w.Patience = time.Millisecond }, "", nil},
		"no StorageClass: expected its name":                           {func(w *Wanted) { w.Class = "" }, "", nil},
	} {
		inCluster(t, func(f *fakeCluster) {
			f.denied = c.denied
			_, err := f.gather(f.Context(), c.change)
			if err == nil || !strings.Contains(err.Error(), want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v; want %q", err, want)
			}
			if len(f.made) > 0 {
				t.Errorf("%q: %d Jobs were made", want, len(f.made))
			}
		})
	}
}

func TestWhatAKilledRunLeftIsToldAndRemovedWhenAskedFor(t *testing.T) {
	inCluster(t, func(f *fakeCluster) {
		w := Wanted{Class: "fast", Size: 1 << 30, Patience: time.Minute, Timeout: time.Hour}
		job := w.job("loam-bench-old-1", "")
		job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
		if _, err := f.client.BatchV1().Jobs(namespace).Create(f.Context(), job, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.gather(f.Context(), func(w *Wanted) { w.Each = false }); err != nil {
			t.Fatal(err)
		}
		if len(f.told) == 0 || !strings.Contains(f.told[0], "job loam-bench-old-1") || !strings.Contains(f.told[0], "has ended and was left") {
			t.Errorf("told %q; want the job that is left first", f.told)
		}
		c := Client{Kubernetes: f.client, Namespace: namespace}
		if removed, err := c.Cleanup(f.Context()); err != nil || len(removed) != 1 || !removed[0].Ended {
			t.Errorf("%v, %v; want that job removed", removed, err)
		}
	})
}
