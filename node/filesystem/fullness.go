package filesystem

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
)

// patience is how long Fullness waits for a file system to answer. That takes microseconds where nothing hangs.
const patience = time.Second

// Fullness asks how full file systems are. One that hangs keeps whoever asks it in the kernel, where nobody can end it: it is left
// behind, and not asked again before it has answered. The zero value is ready; it is safe for concurrent use.
type Fullness struct{ asked lvm.Questions }

// Mounted is a file system of a device, and how full it is.
type Mounted struct {
	Major, Minor uint32
	Usage        Usage
	Targets      []string // where it is mounted, here and bound
}

// Of are the file systems that are mounted of those devices and answer.
func (f *Fullness) Of(ours func(major, minor uint32) bool) ([]Mounted, error) {
	all, err := mounts()
	if err != nil {
		return nil, err
	}
	return f.ask(byDevice(all, ours), usageOfMounted), nil
}

func (f *Fullness) ask(found []Mounted, usage func(path string) (Usage, error)) []Mounted {
	answers := make([]func(time.Time) (Usage, error), len(found))
	for i, m := range found {
		answers[i] = lvm.Pose(&f.asked, fmt.Sprintf("file system %d:%d", m.Major, m.Minor), func() (Usage, error) { return usage(m.Targets[0]) })
	}
	until := time.Now().Add(patience)
	var known []Mounted
	for i, m := range found {
		var err error
		if m.Usage, err = answers[i](until); err == nil {
			known = append(known, m)
		}
	}
	return known
}

// byDevice are the devices of ours in the order of their first mounts.
func byDevice(all []Mount, ours func(major, minor uint32) bool) []Mounted {
	at := map[uint64]int{}
	var found []Mounted
	for _, m := range all {
		number := unix.Mkdev(m.Major, m.Minor)
		if m.Root != "/" || !ours(m.Major, m.Minor) {
			continue
		}
		if _, known := at[number]; !known {
			at[number] = len(found)
			found = append(found, Mounted{Major: m.Major, Minor: m.Minor})
		}
		one := &found[at[number]]
		one.Targets = append(one.Targets, m.Target)
	}
	return found
}
