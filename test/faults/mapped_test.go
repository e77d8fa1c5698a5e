package faults

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// mapped is a device of device-mapper of which a test changes the table while it is in use.
type mapped struct {
	name string
	was  string // its table as it should be
}

func mappedAs(t *testing.T, name string) mapped {
	t.Helper()
	return mapped{name, run(t, "dmsetup", "table", name)}
}

// become gives a device another table, a line for each target. What is on its way to it meets the new one.
func (m mapped) become(t *testing.T, table ...string) {
	t.Helper()
	run(t, "dmsetup", "--noudevsync", "suspend", "--nolockfs", "--noflush", m.name)
	load := exec.Command("dmsetup", "load", m.name)
	load.Stdin = strings.NewReader(strings.Join(table, "\n") + "\n")
	out, err := load.CombinedOutput()
	run(t, "dmsetup", "--noudevsync", "resume", m.name)
	if err != nil {
		t.Fatalf("loading %q: %v: %s", table, err, out)
	}
}

// part is a line of a table: some of the sectors as they should be.
func (m mapped) part(t *testing.T, from, to int64) string {
	t.Helper()
	var length, offset int64
	var device string
	if _, err := fmt.Sscanf(m.was, "0 %d linear %s %d", &length, &device, &offset); err != nil {
		t.Fatalf("%s is not one linear target: %q", m.name, m.was)
	}
	return fmt.Sprintf("%d %d linear %s %d", from, to-from, device, offset+from)
}

// broken is a line of a table: sectors that can be neither read nor written.
func broken(from, to int64) string { return fmt.Sprintf("%d %d error", from, to-from) }

// sectorsWritten is how many sectors were ever to be written to a device (kernel, Documentation/block/stat.rst).
func (m mapped) sectorsWritten(t *testing.T) string {
	t.Helper()
	minor := run(t, "dmsetup", "info", "--columns", "--noheadings", "--options", "minor", m.name)
	stat, err := os.ReadFile("/sys/class/block/dm-" + minor + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(stat))[6]
}

// breakable makes a disk one that a test can break: device-mapper's UUID has a pool take it for the one device of a disk with
// several paths.
func breakable(t *testing.T, name, disk string) mapped {
	t.Helper()
	m := mapped{name, "0 " + run(t, "blockdev", "--getsz", disk) + " linear " + disk + " 0"}
	run(t, "dmsetup", "--noudevsync", "create", name, "--uuid", "mpath-"+name, "--table", m.was)
	run(t, "dmsetup", "mknodes")
	t.Cleanup(func() { m.become(t, m.was) })
	return m
}

func (m mapped) path() string { return "/dev/mapper/" + m.name }
