package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/controller/metrics"
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/metric"
)

func (b *bed) scrape() string {
	b.t.Helper()
	answer, err := http.Get("http://" + b.health + metric.Path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		b.t.Fatal(answer.Status, err)
	}
	return string(text)
}

func TestCallsAndAgentsAreCounted(t *testing.T) {
	b, ctx := newBed(t), context.Background()
	b.agent("n1", lvm.GiB)
	b.agent("n2", lvm.GiB)
	b.notReady("n2")
	_, err := b.CreateVolume(ctx, creation("v", lvm.MiB, "n1"))
	wantCode(t, err, codes.OK)
	_, err = b.CreateVolume(ctx, creation("w", 2*lvm.GiB, "n1"))
	wantCode(t, err, codes.ResourceExhausted)
	_, err = b.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: "n9/x"})
	wantCode(t, err, codes.OK)
	text := b.scrape()
	for _, want := range []string{
		`loam_controller_csi_call_duration_seconds_count{code="OK",method="CreateVolume"} 1`,
		`loam_controller_csi_call_duration_seconds_count{code="ResourceExhausted",method="CreateVolume"} 1`,
		`loam_controller_agent_calls_total{outcome="answered"} [1-9]`,
		`loam_controller_agent_calls_total{outcome="refused"} [1-9]`,
		`loam_controller_agent_calls_total{outcome="unavailable"} [1-9]`,
		`loam_controller_agent_calls_total{outcome="gone"} 1`,
		`loam_controller_agent_calls_total{outcome="abandoned"} 0`,
		`loam_controller_agents{state="ready"} 1`,
		`loam_controller_agents{state="away"} 1`,
		`loam_build_info{version="test"} 1`,
		`go_goroutines`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(text) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(text, "\nloam_controller_orphans{") {
		t.Error("orphans are told before they were looked for")
	}
	for _, m := range metrics.All() {
		if strings.Contains(text, "# TYPE "+m.Name+" ") != strings.Contains(text, "# HELP "+m.Name+" "+m.Help) {
			t.Errorf("%s is told with another help", m.Name)
		}
	}
}

func TestOutcomesOfCallsToAgents(t *testing.T) {
	for _, c := range []struct {
		err  error
		want metrics.Outcome
	}{
		{nil, metrics.Answered},
		{goneError{"n1"}, metrics.Gone},
		{fmt.Errorf("wrapped: %w", goneError{"n1"}), metrics.Gone},
		{status.Error(codes.Unavailable, "away"), metrics.Unavailable},
		{status.Error(codes.DeadlineExceeded, "late"), metrics.Abandoned},
		{status.Error(codes.Canceled, "the caller left"), metrics.Abandoned},
		{status.Error(codes.NotFound, "no such volume"), metrics.Refused},
		{errors.New("anything"), metrics.Refused},
	} {
		if got := outcomeOf(c.err); got != c.want {
			t.Errorf("%v is %q, want %q", c.err, got, c.want)
		}
	}
}
