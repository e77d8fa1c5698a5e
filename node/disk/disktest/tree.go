// Package disktest makes up the files in which the kernel tells of its disks, for tests.
package disktest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Tree is a made-up /sys, /dev and /proc, with links where the kernel has them, in folder Root.
type Tree struct {
	Root   string
	t      *testing.T
	number int
}

// New is a machine without disks.
func New(t *testing.T) *Tree {
	t.Helper()
	tr := &Tree{t: t, Root: t.TempDir()}
	tr.Write("proc/self/mountinfo", "21 1 0:5 / /dev rw - devtmpfs none rw\n")
	tr.Write("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n")
	tr.Folder("sys/class/block")
	tr.Folder("dev")
	return tr
}

// Folder makes a folder, and those that it is in.
func (tr *Tree) Folder(path string) {
	tr.t.Helper()
	if err := os.MkdirAll(filepath.Join(tr.Root, path), 0o755); err != nil {
		tr.t.Fatal(err)
	}
}

// Write writes a file, in whatever folder.
func (tr *Tree) Write(path, text string) {
	tr.t.Helper()
	tr.Folder(filepath.Dir(path))
	if err := os.WriteFile(filepath.Join(tr.Root, path), []byte(text), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

// Link makes a symbolic link.
func (tr *Tree) Link(path, target string) {
	tr.t.Helper()
	tr.Folder(filepath.Dir(path))
	if err := os.Symlink(target, filepath.Join(tr.Root, path)); err != nil {
		tr.t.Fatal(err)
	}
}

// Add makes a device of 10 GiB in devices/<at>, a partition where that has a slash, with a node in dev. Attributes are files of it,
// which change or add to the usual ones; an empty one removes.
func (tr *Tree) Add(at string, attributes map[string]string) {
	tr.t.Helper()
	tr.number++
	name := filepath.Base(at)
	all := map[string]string{
		"dev": fmt.Sprintf("8:%d", tr.number), "size": fmt.Sprint(10 << 30 / 512), "ro": "0",
		"stat": "1 2 3 4 5 6 7 8 9 10 11", "hidden": "0",
	}
	if !strings.Contains(at, "/") {
		all["removable"], all["queue/rotational"], all["diskseq"] = "0", "0", fmt.Sprint(tr.number)
	}
	maps.Copy(all, attributes)
	dir := "sys/devices/" + at
	tr.Folder(dir + "/holders")
	for name, value := range all {
		if value != "" {
			tr.Write(dir+"/"+name, value+"\n")
		}
	}
	tr.Link("sys/class/block/"+name, "../../devices/"+at)
	tr.Write("dev/"+strings.ReplaceAll(name, "!", "/"), "")
}

// Holds says that device holder is made of the device at.
func (tr *Tree) Holds(at, holder string) {
	tr.Link("sys/devices/"+at+"/holders/"+holder, "../../"+holder)
}
