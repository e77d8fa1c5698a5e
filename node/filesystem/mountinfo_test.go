package filesystem

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestMountInfoIsReadFieldByField(t *testing.T) {
	for _, c := range []struct {
		name, line string
		want       Mount
	}{
		{"a file system", "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue",
			Mount{Root: "/mnt1", Target: "/mnt2", Type: "ext3", Source: "/dev/root", Major: 98,
				Options: []string{"rw", "noatime"}, SuperOptions: []string{"rw", "errors=continue"}}},
		{"no optional fields", "36 35 0:5 / /dev ro - devtmpfs udev rw",
			Mount{Root: "/", Target: "/dev", Type: "devtmpfs", Source: "udev", Minor: 5, Options: []string{"ro"}, SuperOptions: []string{"rw"}}},
		{"several optional fields", "36 35 0:5 / /a ro shared:1 master:2 unbindable - tmpfs x rw",
			Mount{Root: "/", Target: "/a", Type: "tmpfs", Source: "x", Minor: 5, Options: []string{"ro"}, SuperOptions: []string{"rw"}}},
		{"a source of no characters", "36 35 0:5 / /a rw - tmpfs  rw",
			Mount{Root: "/", Target: "/a", Type: "tmpfs", Minor: 5, Options: []string{"rw"}, SuperOptions: []string{"rw"}}},
		{"escapes", `36 35 0:5 /x\134y /a\040-\040b\011\012\043 rw - tmpfs a\040b rw`,
			Mount{Root: `/x\y`, Target: "/a - b\t\n#", Type: "tmpfs", Source: "a b", Minor: 5, Options: []string{"rw"}, SuperOptions: []string{"rw"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := parseMount(c.line); err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("parsed as %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
	for _, line := range []string{"", "36 35 98:0 / /a rw", "36 35 98:0 / /a - ext4 x rw", "36 35 98 / /a rw - ext4 x rw", "36 35 a:b / /a rw - ext4 x rw", "- - - - -"} {
		if got, err := parseMount(line); err == nil {
			t.Errorf("%q was parsed as %+v", line, got)
		}
	}
}

func TestOwnMountInfoIsRead(t *testing.T) {
	all, err := mounts()
	if err != nil || len(all) == 0 {
		t.Errorf("mounts() = %d mounts, %v", len(all), err)
	}
}

func FuzzParseMountInfo(f *testing.F) {
	own, _ := os.ReadFile(mountInfo)
	f.Add(string(own))
	f.Add("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n")
	f.Add(`1 1 0:0 \04 \400 \\ - \ \ \`)
	f.Fuzz(func(t *testing.T, s string) {
		if all, err := parseMountInfo(s); err == nil && len(all) != len(strings.SplitAfter(strings.TrimSuffix(s, "\n"), "\n")) && s != "" {
			t.Errorf("%d mounts of %q", len(all), s)
		}
	})
}
