package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
)

func TestPickFindsTheVolumeThatAPersonMeans(t *testing.T) {
	all := []admin.Volume{
		{ID: "n1/pvc-1", Name: "pvc-1", LV: "pvc-1", Kind: admin.KindVolume, Claim: "db/data-0"},
		{ID: "n1/h-12", Name: "a long name", LV: "h-12", Kind: admin.KindVolume},
		{ID: "n1/twice", Name: "twice", LV: "twice", Kind: admin.KindVolume},
		{ID: "n1/snap-twice", Name: "twice", LV: "snap-twice", Kind: admin.KindSnapshot, Claim: "db/data-0"},
	}
	volume, snapshot := []admin.Kind{admin.KindVolume}, []admin.Kind{admin.KindSnapshot}
	for _, c := range []struct {
		name  string
		kinds []admin.Kind
		id    string
		code  int
	}{
		{name: "n1/pvc-1", id: "n1/pvc-1"},
		{name: "pvc-1", id: "n1/pvc-1"},
		{name: "db/data-0", id: "n1/pvc-1"},
		{name: "a long name", id: "n1/h-12"},
		{name: "h-12", id: "n1/h-12"},
		{name: "twice", kinds: volume, id: "n1/twice"},
		{name: "twice", kinds: snapshot, id: "n1/snap-twice"},
		{name: "n1/snap-twice", id: "n1/snap-twice"},
		{name: "twice", code: exitFailed},
		{name: "n1/snap-twice", kinds: volume, code: exitFailed},
		{name: "pvc-1", kinds: snapshot, code: exitFailed},
		{name: "pvc", code: exitNotFound},
		{name: "n2/pvc-1", code: exitNotFound},
	} {
		v, err := pick(all, c.name, "n1", c.kinds...)
		code := exitOK
		if err != nil {
			_, code = explain(err)
		}
		if v.ID != c.id || code != c.code {
			t.Errorf("pick(%q, %v) = %q, %v; want %q and exit code %d", c.name, c.kinds, v.ID, err, c.id, c.code)
		}
	}
}

func TestMountsAreToldApartByWhoMadeThem(t *testing.T) {
	pod := "/var/lib/kubelet/pods/1f/volumes/kubernetes.io~csi/pvc-1/mount"
	global := "/var/lib/kubelet/plugins/kubernetes.io/csi/loam.storage/ab/globalmount"
	for _, c := range []struct {
		root   string
		mounts []string
		want   mounts
		state  string
	}{
		{root: "/", want: mounts{staging: "/run/loam/staging/v"}, state: "not mounted"},
		{
			root: "/", mounts: []string{"/run/loam/staging/v", "/mnt/a", "/mnt/b"},
			want: mounts{staging: "/run/loam/staging/v", staged: true, targets: []string{"/mnt/a", "/mnt/b"}}, state: "mounted on /mnt/a, /mnt/b",
		},
		{
			root: "/", mounts: []string{"/run/loam/staging/v"},
			want: mounts{staging: "/run/loam/staging/v", staged: true}, state: "staged",
		},
		{
			root: "/var/lib/kubelet", mounts: []string{global, pod},
			want: mounts{staging: "/var/lib/kubelet/plugins/loam.storage/staging/v", others: []string{global, pod}}, state: "mounted by the kubelet",
		},
	} {
		v, info := admin.Volume{LV: "v", Mounts: c.mounts}, admin.Info{Driver: "loam.storage", KubeletDir: c.root, CSISocket: "/run/loam/csi.sock"}
		if got := mountsOf(v, info); !reflect.DeepEqual(got, c.want) {
			t.Errorf("mounts %v beneath %s: got %+v, want %+v", c.mounts, c.root, got, c.want)
		}
		if got := state(v, info); got != c.state {
			t.Errorf("mounts %v beneath %s: state is %q, want %q", c.mounts, c.root, got, c.state)
		}
	}
}

func TestWhatTheKubeletMountedIsLeftAlone(t *testing.T) {
	f, dir := startAgent(t)
	f.volumes = []admin.Volume{{
		ID: "n1/pvc-1", Name: "pvc-1", LV: "pvc-1", Kind: admin.KindVolume, Claim: "db/data-0", Size: lvm.GiB, FS: "ext4",
		Mounts: []string{"/var/lib/kubelet/pods/1f/volumes/kubernetes.io~csi/pvc-1/mount"},
	}}
	for _, command := range []string{"unmount", "delete"} {
		if _, stderr, code := loam(t, dir, "volume", command, "db/data-0"); code != exitFailed || !strings.Contains(stderr, "mounted by the kubelet") {
			t.Errorf("%s: exit %d, %q; want 1 and the reason", command, code, stderr)
		}
	}
	if len(f.asked) > 0 {
		t.Errorf("the agent was asked for %v", f.asked)
	}
	if _, stderr, code := loam(t, dir, "volume", "expand", "pvc-1", "--size", "2Gi"); code != exitOK {
		t.Errorf("expand: exit %d, %s", code, stderr)
	}
	if want := []string{"ControllerExpandVolume", "NodeExpandVolume"}; !slices.Equal(f.asked, want) {
		t.Errorf("expand asked for %v, want %v", f.asked, want)
	}
}

func TestMountThatFailsLeavesNothingStaged(t *testing.T) {
	f, dir := startAgent(t)
	f.refuse["NodePublishVolume"] = status.Error(codes.InvalidArgument, "target_path: is a symbolic link")
	loam(t, dir, "volume", "create", "data", "--size", "1Gi")
	f.asked = nil
	_, stderr, code := loam(t, dir, "volume", "mount", "data", dir+"/mnt")
	if want := "loam: could not mount volume data: target_path: is a symbolic link\n"; code != exitFailed || stderr != want {
		t.Errorf("exit %d, %q; want 1 and %q", code, stderr, want)
	}
	if want := []string{"NodeStageVolume", "NodePublishVolume", "NodeUnstageVolume"}; !slices.Equal(f.asked, want) || len(f.volumes[0].Mounts) > 0 {
		t.Errorf("asked for %v, mounts are %v; want %v and none", f.asked, f.volumes[0].Mounts, want)
	}
}

func TestAgentsRefusalsBecomeOneSentence(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{status.Error(codes.ResourceExhausted, "pool fast has room for 1 GiB"), "pool fast has room for 1 GiB (`loam pool list` shows what there is room for)"},
		{status.Error(codes.Aborted, "volume data is busy"), "volume data is busy (try again shortly)"},
		{status.Error(codes.Internal, "lvcreate: exit status 5"), "lvcreate: exit status 5 (the agent's log says more)"},
		{status.Error(codes.InvalidArgument, "name: too long"), "name: too long"},
		{status.Error(codes.Unavailable, "/dev/sda: cannot be read"), "/dev/sda: cannot be read"},
		{status.Error(codes.Unimplemented, "method X"), "this agent does not offer that (`loam version` shows which one answers)"},
		{status.Error(codes.DeadlineExceeded, "x"), "no answer within 2m0s (the agent finishes what it began, and the same command again finds it; --timeout waits longer)"},
	} {
		f, dir := startAgent(t)
		f.refuse["CreateVolume"] = c.err
		_, stderr, code := loam(t, dir, "volume", "create", "data", "--size", "1Gi")
		if want := "loam: could not create volume data: " + c.want + "\n"; code != exitFailed || stderr != want {
			t.Errorf("%v: exit %d, %q\nwant 1 and %q", c.err, code, stderr, want)
		}
	}
}

func TestConfigurationThatIsNotInUseIsToldOf(t *testing.T) {
	f, dir := startAgent(t)
	f.info.ConfigProblem = "config.yaml:2: no devices\nconfig.yaml:3: unknown key"
	for _, command := range []string{"disk", "pool"} {
		_, stderr, code := loam(t, dir, command, "list", "-o", "json")
		if want := "warning: /etc/loam/config.yaml is not in use, but the last good version of it:\n  config.yaml:2: no devices\n  config.yaml:3: unknown key\n"; code != exitOK || stderr != want {
			t.Errorf("%s list: exit %d, %q; want %q", command, code, stderr, want)
		}
	}
}

func TestCompletionOffersWhatTheAgentKnows(t *testing.T) {
	f, dir := startAgent(t)
	f.volumes = []admin.Volume{
		{ID: "n1/data", Name: "data", LV: "data", Kind: admin.KindVolume, Size: lvm.GiB},
		{ID: "n1/snap-monday", Name: "monday", LV: "snap-monday", Kind: admin.KindSnapshot, Size: lvm.GiB},
	}
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"volume", "clone", ""}, "data\tvolume, 1 GiB\n:4\n"},
		{[]string{"volume", "restore", ""}, "monday\tsnapshot, 1 GiB\n:4\n"},
		{[]string{"volume", "delete", "data", ""}, "data\tvolume, 1 GiB\nmonday\tsnapshot, 1 GiB\n:4\n"},
		{[]string{"volume", "create", "x", "--pool", ""}, "fast\t89 GiB available\n:4\n"},
		{[]string{"volume", "create", "x", "--fs", ""}, "ext4\nxfs\nnone\n:4\n"},
		{[]string{"pool", "show", ""}, "fast\t89 GiB available\n:4\n"},
		{[]string{"volume", "mount", "data", ""}, ":16\n"}, // directories
	} {
		args := append([]string{"__complete", "--socket", dir + "/csi.sock"}, c.words...)
		if stdout, _, code := loam(t, dir, args...); code != exitOK || stdout != c.want {
			t.Errorf("%q: exit %d, %q; want %q", c.words, code, stdout, c.want)
		}
	}
}

func TestTableCellsStayOnTheirLine(t *testing.T) {
	for in, want := range map[string]string{
		"": "-", "plain": "plain", "ünïcode": "ünïcode", "two words": "two words", `a "quote"`: `a "quote"`,
		"a\nb": `"a\nb"`, "\x1b[31mred": `"\x1b[31mred"`, "bad\xff": `"bad\xff"`,
	} {
		if got := cell(in); got != want {
			t.Errorf("cell(%q) = %s, want %s", in, got, want)
		}
	}
}
