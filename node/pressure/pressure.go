// Package pressure reads for how long tasks waited for IO, on the whole node and in a pod's cgroup (kernel,
// Documentation/accounting/psi.rst). It reads memory of the kernel's only, and waits for nothing. A kernel without it, or a cgroup
// hierarchy of version 1, is fs.ErrNotExist.
package pressure

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Time is for how long it was since boot, or since the cgroup was made.
type Time struct {
	Waiting time.Duration // at least one task waited ("some")
	Stalled time.Duration // all tasks waited at once ("full")
}

// Node is the whole node's. Errors: fs.ErrNotExist.
func Node() (Time, error) { return read("/proc/pressure/io") }

// read takes three system calls, as there may be a thousand pods: os.ReadFile takes eight.
func read(path string) (Time, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Time{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	var text [4096]byte // the kernel gives all at once
	n, err := unix.Read(fd, text[:])
	unix.Close(fd)
	if err != nil {
		return Time{}, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	t, err := parse(string(text[:n]))
	if err != nil {
		return Time{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return t, nil
}

// parse reads "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and the same for "full", with totals in microseconds.
func parse(text string) (Time, error) {
	var t Time
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		total, found := strings.CutPrefix(fields[len(fields)-1], "total=")
		n, err := strconv.ParseInt(total, 10, 64)
		if !found || err != nil || n < 0 || n > int64(maxTime/time.Microsecond) {
			return Time{}, fmt.Errorf("expected total=MICROSECONDS at the end of %.100q", line)
		}
		switch fields[0] {
		case "some":
			t.Waiting = time.Duration(n) * time.Microsecond
		case "full":
			t.Stalled = time.Duration(n) * time.Microsecond
		}
	}
	return t, nil
}

// maxTime is the longest time that there is.
const maxTime = time.Duration(1<<63 - 1)

// podTarget is where the kubelet has the volumes of pods that are file systems, below its folder.
var podTarget = regexp.MustCompile(`/pods/([0-9a-f-]{32,36})/volumes/kubernetes\.io~csi/[^/]+/mount$`)

// PodOf is the UID of the pod for which something is mounted there; false for staging folders, and for whatever else is no pod's.
func PodOf(target string) (uid string, ok bool) {
	found := podTarget.FindStringSubmatch(target)
	if found == nil {
		return "", false
	}
	return found[1], true
}

// Cgroups are those of the node's pods. It remembers where each pod's is from one call of Pods to the next. It is safe for concurrent use.
type Cgroups struct {
	Folder string // where they are: /sys/fs/cgroup

	mu      sync.Mutex        // guards what follows
	folders map[string]string // by pod
}

// Pods are the times of all containers of each pod, by its UID. Pods without such figures are left out.
func (c *Cgroups) Pods(uids []string) map[string]Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	folders, times := map[string]string{}, map[string]Time{}
	for _, uid := range uids {
		candidates := podFolders(uid)
		if folder, known := c.folders[uid]; known {
			candidates = []string{folder}
		}
		for _, folder := range candidates {
			if t, err := read(filepath.Join(c.Folder, folder, "io.pressure")); err == nil {
				folders[uid], times[uid] = folder, t
				break
			}
		}
	}
	c.folders = folders
	return times
}

// podFolders are where the kubelet may have a pod's cgroup: by systemd or by itself, for each class of quality of service
// (kubelet's pkg/kubelet/cm, "systemd cgroup driver").
func podFolders(uid string) []string {
	slice := strings.ReplaceAll(uid, "-", "_")
	var all []string
	for _, class := range []string{"", "burstable", "besteffort"} {
		outer, inner := "kubepods.slice", "kubepods-pod"+slice+".slice"
		if class != "" {
			outer, inner = outer+"/kubepods-"+class+".slice", "kubepods-"+class+"-pod"+slice+".slice"
		}
		all = append(all, filepath.Join(outer, inner), filepath.Join("kubepods", class, "pod"+uid))
	}
	return all
}
