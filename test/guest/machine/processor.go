package machine

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// processor is the one that a guest runs on. User Mode Linux hands each system call of its programs from one process to
// another and back (ptrace(2)). On two processors each of them waits for the other to wake up: measured on a virtual
// machine, a system call took 77 µs then and 17 on one, and lvm commands two to three times as long.
type processor struct {
	number int
	claim  net.Listener // keeps other guests off; nil where all processors are taken and this one is shared
}

// takeProcessor finds a processor of this program's that no other guest has. A claim is an abstract unix socket (unix(7)),
// which leaves no file and goes with its process.
func takeProcessor() (processor, error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return processor{}, fmt.Errorf("sched_getaffinity: %w", err)
	}
	var mine []int
	for n := 0; len(mine) < allowed.Count(); n++ {
		if allowed.IsSet(n) {
			mine = append(mine, n)
		}
	}
	for _, n := range mine {
		if claim, err := net.Listen("unix", fmt.Sprintf("@loam-guest/processor/%d", n)); err == nil {
			return processor{n, claim}, nil
		}
	}
	return processor{number: mine[os.Getpid()%len(mine)]}, nil
}

// run makes it the only one that the calling thread and the processes that it starts may run on.
func (p processor) run() error {
	var only unix.CPUSet
	only.Set(p.number)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return fmt.Errorf("sched_setaffinity: %w", err)
	}
	return nil
}

func (p processor) release() {
	if p.claim != nil {
		_ = p.claim.Close()
	}
}
