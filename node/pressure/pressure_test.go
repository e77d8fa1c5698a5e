package pressure

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const captured = "some avg10=0.00 avg60=0.20 avg300=0.27 total=13305342\nfull avg10=0.00 avg60=0.02 avg300=0.11 total=8295696\n" // Linux 6.18

var want = Time{Waiting: 13305342 * time.Microsecond, Stalled: 8295696 * time.Microsecond}

func TestTotalsAreRead(t *testing.T) {
	if got, err := parse(captured); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, text := range []string{"some", "some total=", "some total=x", "some total=-1", "some total=9223372036854775807", "total=1 some avg10=0.00"} {
		if got, err := parse(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(captured)
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := parse(text); err == nil && (got.Waiting < 0 || got.Stalled < 0) {
			t.Errorf("%+v", got)
		}
	})
}

func TestOwnKernelIsRead(t *testing.T) {
	got, err := Node()
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("needs a kernel with /proc/pressure")
	}
	if err != nil || got.Waiting < got.Stalled || got.Waiting == 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPodsAreKnownByTheirTargets(t *testing.T) {
	const uid = "0b8f3c1e-0000-4a6b-9f6e-0123456789ab"
	for target, want := range map[string]string{
		"/var/lib/kubelet/pods/" + uid + "/volumes/kubernetes.io~csi/pvc-1/mount":                uid,
		"/var/snap/x/kubelet/pods/" + uid + "/volumes/kubernetes.io~csi/pv.with-dots/mount":      uid,
		"/var/lib/kubelet/plugins/kubernetes.io/csi/loam.storage/0123/globalmount":               "",
		"/var/lib/kubelet/pods/../volumes/kubernetes.io~csi/pvc-1/mount":                         "",
		"/var/lib/kubelet/pods/" + uid + "/volumes/kubernetes.io~csi/pvc-1/mount/pods/elsewhere": "",
		"/": "",
	} {
		if got, ok := PodOf(target); got != want || ok != (want != "") {
			t.Errorf("%s is mounted for %q, want %q", target, got, want)
		}
	}
}

func TestPodsCgroupsAreFoundHoweverTheKubeletMakesThem(t *testing.T) {
	const uid = "0b8f3c1e-0000-4a6b-9f6e-0123456789ab"
	for _, folder := range []string{
		"kubepods.slice/kubepods-pod0b8f3c1e_0000_4a6b_9f6e_0123456789ab.slice",
		"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0b8f3c1e_0000_4a6b_9f6e_0123456789ab.slice",
		"kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0b8f3c1e_0000_4a6b_9f6e_0123456789ab.slice",
		"kubepods/pod" + uid, "kubepods/burstable/pod" + uid, "kubepods/besteffort/pod" + uid,
	} {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, folder, "io.pressure"), []byte(captured), 0o600); err != nil {
			t.Fatal(err)
		}
		c := Cgroups{Folder: root}
		for range 2 { // the second time it is known where
			if got := c.Pods([]string{uid, "without-a-cgroup"}); len(got) != 1 || got[uid] != want {
				t.Errorf("%s: %+v", folder, got)
			}
		}
		if err := os.RemoveAll(filepath.Join(root, folder)); err != nil {
			t.Fatal(err)
		}
		if got := c.Pods([]string{uid}); len(got) != 0 {
			t.Errorf("%s: a pod that is gone has %+v", folder, got)
		}
	}
}
