package filesystem

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountOptionsThatAreNotOnTheListAreRefused(t *testing.T) {
	for _, kind := range []Type{Ext4, XFS, "", "btrfs"} {
		for _, option := range []string{
			"", " ", "suid", "dev", "SUID", "noatime,suid", "noatime ", "noatime\x00", "noatime\n", "\x00", "X-mount.mkdir", "x-systemd.automount",
			"loop", "loop=/dev/loop0", "bind", "rbind", "move", "remount", "remount,rw", "shared", "nobarrier", "barrier=0", "norecovery", "noload",
			"errors=panic", "errors=continue", "data=writeback", "noauto_da_alloc", "data=journal,errors=panic", "journal_dev=8:0", "journal_path=/dev/sda", "logdev=/dev/sda", "rtdev=/dev/sda",
			"sb=1", "usrjquota=/etc/passwd", "context=system_u:object_r:etc_t:s0", "commit=", "commit=-1", "commit=1000", "uid=0", "test_dummy_encryption",
			"discard,suid", "discard\nsuid", "--bind", "-o", strings.Repeat("noatime,", 4096),
		} {
			_, err := ParseOptions(kind, []string{"noatime", option})
			if !errors.Is(err, ErrOption) {
				t.Errorf("ParseOptions(%q, %.40q) = %v; want ErrOption", kind, option, err)
			} else if len(err.Error()) > 1000 {
				t.Errorf("the refusal of %.40q has %d bytes; it ends up in an event", option, len(err.Error()))
			}
		}
	}
}

func TestMountOptionsThatContradictEachOtherAreRefused(t *testing.T) {
	for _, options := range [][]string{{"commit=5", "commit=30"}, {"discard", "nodiscard"}, {"init_itable=10", "noinit_itable"}, {"data=journal", "data=ordered"}} {
		if _, err := ParseOptions(Ext4, options); !errors.Is(err, ErrOption) || !strings.Contains(err.Error(), options[0]) || !strings.Contains(err.Error(), options[1]) {
			t.Errorf("ParseOptions(%q) = %v; want ErrOption, naming both", options, err)
		}
	}
}

func TestMountOptionsOfTheOtherFileSystemAreRefused(t *testing.T) {
	for kind, option := range map[Type]string{Ext4: "inode64", XFS: "data=journal", "": "discard"} {
		if _, err := ParseOptions(kind, []string{option}); !errors.Is(err, ErrOption) {
			t.Errorf("ParseOptions(%q, %q) = %v; want ErrOption", kind, option, err)
		}
	}
}

func TestMountOptionsBecomeFlagsAndData(t *testing.T) {
	const always = unix.MS_NOSUID | unix.MS_NODEV
	for _, c := range []struct {
		name     string
		kind     Type
		options  []string
		readOnly bool
		thin     bool
		flags    uintptr
		data     string
	}{
		{"nothing asked for", Ext4, nil, false, false, always, "errors=remount-ro"},
		{"thin", Ext4, nil, false, true, always, "errors=remount-ro,noinit_itable"},
		{"thin, and the user wants the tables written", Ext4, []string{"init_itable"}, false, true, always, "init_itable,errors=remount-ro"},
		{"what is the default, twice", Ext4, []string{"errors=remount-ro", "errors=remount-ro"}, false, false, always, "errors=remount-ro"},
		{"nouuid, as other drivers' classes have it", XFS, []string{"nouuid"}, false, false, always, "nouuid"},
		{"what is so anyway", Ext4, []string{"defaults", "rw", "exec", "nosuid"}, false, false, always, "errors=remount-ro"},
		{"flags and data", Ext4, []string{"noatime", "discard", "noexec", "commit=30"}, false, false,
			always | unix.MS_NOATIME | unix.MS_NOEXEC, "discard,commit=30,errors=remount-ro"},
		{"read-only by option", Ext4, []string{"ro"}, false, false, always | unix.MS_RDONLY, "errors=remount-ro"},
		{"read-only by request", XFS, []string{"rw"}, true, false, always | unix.MS_RDONLY, "nouuid"},
		{"xfs beside its clone", XFS, []string{"logbufs=8", "pquota"}, false, true, always, "logbufs=8,pquota,nouuid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := ParseOptions(c.kind, c.options)
			if err != nil {
				t.Fatal(err)
			}
			r := StageRequest{Type: c.kind, Options: o, ReadOnly: c.readOnly, Thin: c.thin}
			if r.mountFlags() != c.flags || r.mountData() != c.data {
				t.Errorf("flags %#x, data %q; want %#x, %q", r.mountFlags(), r.mountData(), c.flags, c.data)
			}
		})
	}
}

// FuzzParseOptions: whatever is accepted stays within the page that the kernel takes, and never undoes nosuid and nodev.
func FuzzParseOptions(f *testing.F) {
	for _, s := range []string{"noatime", "discard,commit=5", "suid", "logbsize=256k,nouuid", "allocsize=1g,X-mount.mkdir", "commit=1,commit=2"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, xfs bool) {
		kind := Ext4
		if xfs {
			kind = XFS
		}
		o, err := ParseOptions(kind, strings.Split(s, ","))
		if err != nil {
			return
		}
		r := StageRequest{Type: kind, Options: o}
		const always = unix.MS_NOSUID | unix.MS_NODEV
		if data := r.mountData(); len(data) >= 4096 || strings.ContainsAny(data, " \n\x00/") || strings.Contains(data, "suid") {
			t.Errorf("%q became %q", s, data)
		}
		if r.mountFlags()&always != always || r.mountFlags()&(unix.MS_BIND|unix.MS_REMOUNT|unix.MS_MOVE) != 0 {
			t.Errorf("%q became flags %#x", s, r.mountFlags())
		}
	})
}

func TestMakeOptionsAreAFlagAndAValueOnTheList(t *testing.T) {
	for _, c := range []struct {
		kind    Type
		options []string
		allowed bool
	}{
		{Ext4, nil, true},
		{Ext4, []string{"-i", "65536", "-I", "512", "-m", "1"}, true},
		{Ext4, []string{"-O", "quota,project"}, true},
		{XFS, []string{"-i", "size=512", "-m", "reflink=0", "-l", "size=64m", "-d", "su=64k,sw=4"}, true},
		{Ext4, []string{"-i"}, false},
		{Ext4, []string{"-i", ""}, false},
		{Ext4, []string{"-i", "65536\n"}, false},
		{Ext4, []string{"-i", "-1"}, false},
		{Ext4, []string{"65536"}, false},
		{Ext4, []string{"-b", "1024"}, false},
		{Ext4, []string{"-U", "clear"}, false},
		{Ext4, []string{"-d", "/etc"}, false},
		{Ext4, []string{"-E", "nodiscard"}, false},
		{Ext4, []string{"-J", "device=/dev/sda"}, false},
		{Ext4, []string{"-O", "quota,^has_journal"}, false},
		{Ext4, []string{"-O", "sparse_super2"}, false},
		{Ext4, []string{"-O", "journal_dev"}, false},
		{Ext4, []string{"-n", "1"}, false},
		{Ext4, []string{"--", "/dev/sda"}, false},
		{Ext4, []string{"/dev/sda", "1"}, false},
		{Ext4, []string{"-i 65536", "65536"}, false},
		{Ext4, []string{"-i", "65536 /dev/sda"}, false},
		{Ext4, []string{"-m", "0\x00"}, false},
		{XFS, []string{"-O", "quota"}, false},
		{XFS, []string{"-m", "uuid=00000000-0000-0000-0000-000000000000"}, false},
		{XFS, []string{"-m", "reflink=0,uuid=00000000-0000-0000-0000-000000000000"}, false},
		{XFS, []string{"-d", "file,name=/etc/passwd,size=1g"}, false},
		{XFS, []string{"-l", "logdev=/dev/sda"}, false},
		{XFS, []string{"-p", "/etc/passwd"}, false},
		{XFS, []string{"-c", "options=/etc/passwd"}, false},
		{"", []string{"-i", "65536"}, false},
		{"btrfs", []string{"-i", "65536"}, false},
	} {
		if err := ParseMakeOptions(c.kind, c.options); c.allowed && err != nil || !c.allowed && !errors.Is(err, ErrOption) {
			t.Errorf("ParseMakeOptions(%q, %q) = %v; allowed should be %t", c.kind, c.options, err, c.allowed)
		}
	}
}

func TestMkfsIsCalledWithWhatAllocatesLittle(t *testing.T) {
	for _, c := range []struct {
		r    MakeRequest
		want string
	}{
		{MakeRequest{Device: "/dev/vg/v", Type: Ext4, UUID: "u"},
			"-q -F -U u -b 4096 -m 0 -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 -- /dev/vg/v"},
		{MakeRequest{Device: "-v", Type: Ext4, UUID: "u", Options: []string{"-m", "5"}},
			"-q -F -U u -b 4096 -m 0 -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 -m 5 -- -v"},
		{MakeRequest{Device: "/dev/vg/v", Type: XFS, UUID: "u"}, "-q -f -K -m uuid=u -- /dev/vg/v"},
		{MakeRequest{Device: "/dev/vg/v", Type: XFS, UUID: "u", Options: []string{"-i", "size=1024"}}, "-q -f -K -m uuid=u -i size=1024 -- /dev/vg/v"},
	} {
		if got := makeArgs(c.r); !slices.Equal(got, strings.Split(c.want, " ")) {
			t.Errorf("mkfs.%s %q; want %q", c.r.Type, got, c.want)
		}
	}
}

func TestMakeRefusesOptionsBeforeItTouchesTheDevice(t *testing.T) {
	path := image(t, 64<<20)
	r := MakeRequest{Device: path, Type: Ext4, UUID: UUID("v"), Options: []string{"-b", "1024"}}
	if err := Make(t.Context(), r); !errors.Is(err, ErrOption) {
		t.Errorf("Make = %v; want ErrOption", err)
	}
	if s, err := readSuperblock(path); err != nil || s != (superblock{}) {
		t.Errorf("the device holds %+v, %v; want nothing", s, err)
	}
}

func TestTypesAreNamedExactly(t *testing.T) {
	for name, want := range map[string]Type{"": Ext4, "ext4": Ext4, "xfs": XFS} {
		if got, err := ParseType(name); err != nil || got != want {
			t.Errorf("ParseType(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"EXT4", "ext3", " xfs", "btrfs", "../../bin/x", "xfs\x00", "xfs,ext4"} {
		if got, err := ParseType(name); !errors.Is(err, ErrType) {
			t.Errorf("ParseType(%q) = %q, %v; want ErrType", name, got, err)
		}
	}
}
