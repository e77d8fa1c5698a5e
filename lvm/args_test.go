package lvm

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"group", createGroupArgs(CreateGroup{Name: "vg", Devices: []string{"/dev/a", "/dev/b"}}), "vgcreate -qq -- vg /dev/a /dev/b"},
		{
			"group with all",
			createGroupArgs(CreateGroup{Name: "vg", Devices: []string{"/dev/a"}, ExtentSize: 8 * MiB, MetadataSize: 16 * MiB, Tags: []string{"x", "y=1"}}),
			"vgcreate -qq --physicalextentsize 8388608b --metadatasize 16777216b --addtag x --addtag y=1 -- vg /dev/a",
		},
		{"more devices", extendGroupArgs("vg", 16*MiB, []string{"/dev/a", "/dev/b"}), "vgextend -qq --metadatasize 16777216b -- vg /dev/a /dev/b"},
		{"unfinished devices", clearArgs([]string{"/dev/a", "/dev/b"}), "pvremove -qq --yes --force --force -- /dev/a /dev/b"},
		{"more devices, default metadata", extendGroupArgs("vg", 0, []string{"/dev/a"}), "vgextend -qq -- vg /dev/a"},
		{
			"pool", createPoolArgs(CreatePool{VG: "vg", Name: "p", Size: 100 * MiB}),
			"lvcreate -qq --yes --type thin-pool --size 104857600b --zero y --discards passdown --poolmetadataspare y --name p -- vg",
		},
		{
			"pool with all",
			createPoolArgs(CreatePool{VG: "vg", Name: "p", Size: 1, MetadataSize: 8 * MiB, ChunkSize: 64 * KiB, Stripes: 2, Tags: []string{"t"}}),
			"lvcreate -qq --yes --type thin-pool --size 512b --poolmetadatasize 8388608b --chunksize 65536b --stripes 2 " +
				"--zero y --discards passdown --poolmetadataspare y --addtag t --name p -- vg",
		},
		{"pool's data", extendPoolArgs(ExtendPool{VG: "vg", Name: "p", Size: MiB}), "lvextend -qq --size 1048576b -- vg/p"},
		{"pool's metadata", extendPoolArgs(ExtendPool{VG: "vg", Name: "p", MetadataSize: MiB}), "lvextend -qq --poolmetadatasize 1048576b -- vg/p"},
		{
			"thin", createThinArgs(CreateThin{VG: "vg", Pool: "p", Name: "v", Size: GiB, Tags: []string{"a", "b"}}),
			"lvcreate -qq --yes --type thin --virtualsize 1073741824b --thinpool p --setactivationskip n --activate y --addtag a --addtag b --name v -- vg",
		},
		{
			"linear", createThickArgs(CreateThick{VG: "vg", Name: "v", Size: GiB, Stripes: 1}),
			"lvcreate -qq --yes --type linear --size 1073741824b --zero y --wipesignatures y --setactivationskip n --activate y --name v -- vg",
		},
		{
			"striped", createThickArgs(CreateThick{VG: "vg", Name: "v", Size: GiB, Stripes: 3, Tags: []string{"a"}}),
			"lvcreate -qq --yes --type striped --stripes 3 --size 1073741824b --zero y --wipesignatures y --setactivationskip n --activate y --addtag a --name v -- vg",
		},
		{
			"snapshot", createSnapshotArgs(CreateSnapshot{VG: "vg", Origin: "o", Name: "s", Pool: "p", Tags: []string{"a"}}),
			"lvcreate -qq --yes --type thin --thinpool p --permission r --setactivationskip y --activate n --addtag a --name s -- vg/o",
		},
		{
			"clone, pool not named", createSnapshotArgs(CreateSnapshot{VG: "vg", Origin: "o", Name: "s", Writable: true}),
			"lvcreate -qq --yes --snapshot --permission rw --setactivationskip n --activate y --name s -- vg/o",
		},
		{"extend", extendArgs("vg", "v", GiB+1), "lvextend -qq --size 1073742336b -- vg/v"},
		{"remove", removeArgs("vg", []string{"a", "b"}), "lvremove -qq --yes -- vg/a vg/b"},
		{"activate", activateArgs("vg", []string{"a", "b"}), "lvchange -qq --activate y --ignoreactivationskip -- vg/a vg/b"},
		{"deactivate", deactivateArgs("vg", []string{"a"}), "lvchange -qq --activate n -- vg/a"},
		{"rename", renameArgs("vg", "a", "b"), "lvrename -qq -- vg a b"},
		{
			"tags", changeTagsArgs(ChangeTags{VG: "vg", Names: []string{"a", "b"}, Add: []string{"x", "y"}, Remove: []string{"z"}}),
			"lvchange -qq --deltag z --addtag x --addtag y -- vg/a vg/b",
		},
	} {
		if want := strings.Fields(test.want); !slices.Equal(test.args, want) {
			t.Errorf("%s:\n got %q\nwant %q", test.name, test.args, want)
		}
	}
}

// Nothing that LVM must not wipe may be answered "yes" to.
func TestDevicesAreNeverTakenWithYes(t *testing.T) {
	for _, args := range [][]string{createGroupArgs(CreateGroup{Name: "vg"}), extendGroupArgs("vg", 0, nil)} {
		if slices.Contains(args, "--yes") || slices.Contains(args, "--force") || !slices.Contains(args, "-qq") {
			t.Errorf("%q would wipe what a device holds, or ask", args)
		}
	}
}

func TestCommandLineRestrictsLVM(t *testing.T) {
	l := New(Options{BackupDir: `/var/lib/"loam`})
	got := l.command([]string{"/dev/a", "/dev/b"}, []string{"lvs", "--", "vg"}).Args
	want := []string{"lvm", "lvs", "--config", settings + `backup{backup=1 archive=0 backup_dir="/var/lib/\"loam"}`, "--devices", "/dev/a,/dev/b", "--", "vg"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestConfigurationReplacesTheHosts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lvm")
	l, _ := script(t, Options{ConfigDir: dir, BackupDir: "/b"}, `cat "$LVM_SYSTEM_DIR/lvm.conf"; ls "$LVM_SYSTEM_DIR"; echo "$@"`)
	out, err := l.run([]string{"lvs", "--", "vg"})
	if want := config("/b") + "\nlvm.conf\nlvs --devices /dev/null -- vg\n"; err != nil || string(out) != want {
		t.Errorf("error %v, got\n%s\nwant\n%s", err, out, want)
	}
	l, _ = script(t, Options{ConfigDir: "/dev/null/lvm"}, "")
	if _, err := l.run([]string{"lvs"}); err == nil {
		t.Error("no error, though the configuration cannot be written")
	}
}

func TestReportAsksForEachSectionOnce(t *testing.T) {
	args := strings.Join(reportArgs(), " ")
	for _, section := range []string{"vg", "pv", "lv", "seg", "pvseg"} {
		if n := strings.Count(args, "--configreport "+section+" "); n != 1 {
			t.Errorf("section %s is asked for %d times", section, n)
		}
	}
}
