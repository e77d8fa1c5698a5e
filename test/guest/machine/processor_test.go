package machine

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestEachGuestHasAProcessorAsLongAsThereAreSome(t *testing.T) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	taken := map[int]bool{}
	for range allowed.Count() + 1 {
		p, err := takeProcessor()
		if err != nil {
			t.Fatal(err)
		}
		defer p.release()
		if !allowed.IsSet(p.number) {
			t.Errorf("processor %d is not among those allowed", p.number)
		}
		if p.claim != nil && taken[p.number] {
			t.Errorf("processor %d was given to two guests", p.number)
		}
		taken[p.number] = taken[p.number] || p.claim != nil
	}
}

func TestAProcessStartedOnAProcessorStaysThere(t *testing.T) {
	p, err := takeProcessor()
	if err != nil {
		t.Fatal(err)
	}
	defer p.release()
	var out strings.Builder
	command := exec.Command("grep", "-c", "Cpus_allowed_list:\t[0-9]*$", "/proc/self/status")
	command.Stdout = &out
	started, err := startWith(command, &syscall.SysProcAttr{}, p.run)
	if err != nil {
		t.Fatal(err)
	}
	<-started.ended
	if strings.TrimSpace(out.String()) != "1" {
		t.Errorf("got %q, want one line with one processor", out.String())
	}
}
