package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestStreamsAreSeparateAndByteExact(t *testing.T) {
	data := make([]byte, 1<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	got := guest(t, string(data), "--", "sh", "-c", "tee /dev/stderr")
	if got.status != 0 || !bytes.Equal([]byte(got.stdout), data) || !bytes.Equal([]byte(got.stderr), data) {
		t.Errorf("exit status %d, %d and %d bytes; want 0, and both outputs to be the %d random bytes of stdin",
			got.status, len(got.stdout), len(got.stderr), len(data))
	}
}

func TestExitStatusIsTheCommands(t *testing.T) {
	for _, test := range []struct {
		status  int
		command []string
		stderr  string
	}{
		{42, []string{"sh", "-c", "exit 42"}, ""},
		{128 + 9, []string{"sh", "-c", "kill -9 $$"}, ""},
		{127, []string{"no-such-command"}, "no-such-command: not found"},
		{126, []string{"/etc/passwd"}, "permission denied"},
	} {
		got := guest(t, "", append([]string{"--"}, test.command...)...)
		if got.status != test.status || !strings.Contains(got.stderr, test.stderr) || (test.stderr == "") != (got.stderr == "") {
			t.Errorf("%q: exit status %d, stderr %q; want %d and %q", test.command, got.status, got.stderr, test.status, test.stderr)
		}
	}
}

func TestTheCommandSeesDisksEnvironmentAndDirectory(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FROM_HOST", "a b")
	const script = `echo $LOAM_GUEST $LOAM_DISKS
for disk in /dev/ubdb /dev/ubdc /dev/ubdd; do blockdev --getsize64 $disk; head -c 1M $disk | tr -d '\0' | wc -c; done
pwd; ls doc.go; id -u; echo "$FROM_HOST|$GIVEN"
echo $(ls /sys/class/net) up $(( $(cat /sys/class/net/lo/flags) & 1 ))
losetup --find`
	guest(t, "", "--disks=2x64M", "--disks=3G", "--env=GIVEN=x=y", "--", "sh", "-c", script).expect(t, 0, strings.Join([]string{
		"uml /dev/ubdb,/dev/ubdc,/dev/ubdd", "67108864", "0", "67108864", "0", "3221225472", "0", dir, "doc.go", "0",
		"a b|x=y", "lo up 1", "/dev/loop0", "",
	}, "\n"))
}

// thinPool makes a volume in a thin pool of the guest's first two disks, a file system on it, and a snapshot.
const thinPool = `set -e
set -- $(echo $LOAM_DISKS | tr , ' ')
pvcreate -q $1 $2 >&2
vgcreate -q vg $1 $2 >&2
lvcreate -q --type thin-pool -L 128M -n pool vg >&2
lvcreate -q -V 1G --thinpool pool -n volume vg >&2
mkfs.ext4 -q /dev/vg/volume
mount /dev/vg/volume /mnt
echo written > /mnt/file
lvcreate -q -s -n copy vg/volume >&2
lvs --noheadings -o lv_name,pool_lv,lv_size --separator , --units m vg | tr -d ' '
cat /mnt/file
`

const thinPoolReport = "copy,pool,1024.00m\npool,,128.00m\nvolume,pool,1024.00m\nwritten\n"

func TestThinPoolsWorkByHand(t *testing.T) {
	guest(t, "", "--disks=2x256M", "--", "sh", "-c", thinPool).expect(t, 0, thinPoolReport)
}

func TestADiskImageKeepsWhatWasWritten(t *testing.T) {
	image := filepath.Join(t.TempDir(), "a disk, with a name.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 256<<20); err != nil {
		t.Fatal(err)
	}
	const write = "pvcreate -q /dev/ubdb >&2 && vgcreate -q kept /dev/ubdb >&2 && lvcreate -q -L 8M -n volume kept >&2 && echo data > /dev/kept/volume"
	guest(t, "", "--disk-image="+image, "--", "sh", "-c", write).expect(t, 0, "")
	const read = "vgchange -qay kept >&2; head -n 1 /dev/kept/volume"
	guest(t, "", "--disk-image="+image, "--", "sh", "-c", read).expect(t, 0, "data\n")
}

func TestOnlyWritableDirectoriesChange(t *testing.T) {
	kept, forgotten := t.TempDir(), t.TempDir()
	script := fmt.Sprintf("echo new | tee %s/file %s/file /etc/file; ls /etc/file", kept, forgotten)
	guest(t, "", "--writable="+kept, "--", "sh", "-c", script).expect(t, 0, "new\n/etc/file\n")
	if text, err := os.ReadFile(filepath.Join(kept, "file")); err != nil || string(text) != "new\n" {
		t.Errorf("in the writable directory: %q, %v; want what the guest wrote", text, err)
	}
	for _, path := range []string{filepath.Join(forgotten, "file"), "/etc/file"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s reached the host", path)
		}
	}
}

func TestAKernelPanicIsShown(t *testing.T) {
	got := guest(t, "", "--", "sh", "-c", "echo c > /proc/sysrq-trigger; sleep 60")
	if got.status != exitNoGuest || !strings.Contains(got.stderr, "\nKernel panic - not syncing") {
		t.Errorf("exit status %d, stderr:\n%s\nwant %d and the panic", got.status, got.stderr, exitNoGuest)
	}
}

// TestHostKernelConfinesLVMToItsDisks runs --kernel=host in a guest, the one place where a test may.
func TestHostKernelConfinesLVMToItsDisks(t *testing.T) {
	inner := fmt.Sprintf("%s --kernel=host --disks=2x256M -- sh -c '%s pvs --noheadings -o pv_name | wc -l; exit 5'",
		program, strings.ReplaceAll(thinPool, "'", `'\''`))
	script := "pvcreate -q /dev/ubdb >&2; vgcreate -q others /dev/ubdb >&2\n" + inner +
		"\necho status $?; losetup --list; dmsetup ls; vgs --noheadings -o vg_name\n"
	got := guest(t, "", "--disks=64M", "--", "sh", "-c", script)
	got.expect(t, 0, thinPoolReport+"2\nstatus 5\nNo devices found\n  others\n")
}

// TestLostTimerIsSetAgain has the kernel set its timer in vain for a while, as it fails to now and then by itself: then it sleeps for ever.
func TestLostTimerIsSetAgain(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	command, stdout := startGuest(t, t.TempDir(), "--timeout=1m", "--", "sh", "-c", "echo up; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.2; done; echo on")
	reader := bufio.NewReader(stdout)
	expectNextLine(t, command, reader, "up\n")
	kernel := childOf(t, childOf(t, strconv.Itoa(command.Process.Pid)))
	inject := exec.Command("timeout", "1", strace, "-qq", "-o", os.DevNull, "-e", "inject=timer_settime:retval=0", "-p", kernel)
	if out, err := inject.CombinedOutput(); inject.ProcessState.ExitCode() != 124 {
		t.Skipf("strace cannot trace the guest: %v: %s", err, out)
	}
	expectNextLine(t, command, reader, "on\n")
}

// childOf is the only child of a process.
func childOf(t *testing.T, pid string) string {
	t.Helper()
	files, err := filepath.Glob("/proc/" + pid + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var children []string
	for _, file := range files {
		if list, err := os.ReadFile(file); err == nil {
			children = append(children, strings.Fields(string(list))...)
		}
	}
	if len(children) != 1 {
		t.Fatalf("process %s has the children %q, not one", pid, children)
	}
	return children[0]
}
