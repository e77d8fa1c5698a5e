package bench

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
)

func TestFileThatWouldFillAPoolIsRefused(t *testing.T) {
	pool := thinPool{"vg", "pool"}
	half := lvm.Usage{Data: 5 * lvm.GiB, Size: 10 * lvm.GiB, Metadata: lvm.MiB, MetadataSize: 10 * lvm.MiB}
	for name, c := range map[string]struct {
		change func(*lvm.Usage)
		size   lvm.Bytes
		want   string
	}{
		"room":             {func(*lvm.Usage) {}, 4 * lvm.GiB, ""},
		"too little":       {func(*lvm.Usage) {}, 5 * lvm.GiB, "50 % of its data"},
		"metadata":         {func(u *lvm.Usage) { u.Metadata = 9 * lvm.MiB }, lvm.GiB, "90 % of its metadata"},
		"full":             {func(u *lvm.Usage) { u.Health = lvm.OutOfData }, lvm.MiB, "not well: out_of_data"},
		"size not told of": {func(u *lvm.Usage) { u.Size = 0 }, lvm.MiB, "not well"},
	} {
		u := half
		c.change(&u)
		err := fits(pool, u, c.size)
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}

func TestPoolsAreFoundBeneathADevice(t *testing.T) {
	root := t.TempDir()
	put := func(device, name string, slaves ...string) {
		t.Helper()
		for _, s := range slaves {
			if err := errors.Join(os.MkdirAll(filepath.Join(root, device, "slaves"), 0o755), os.Symlink(filepath.Join(root, s), filepath.Join(root, device, "slaves", s))); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Join(root, device, "dm"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, device, "dm", "name"), []byte(name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("tdata", "vg--a-the--pool_tdata")
	put("pool", "vg--a-the--pool-tpool", "tdata")
	put("thin", "vg--a-data", "pool")
	put("crypt", "luks", "thin")
	if err := os.MkdirAll(filepath.Join(root, "disk"), 0o755); err != nil {
		t.Fatal(err)
	}
	for device, want := range map[string][]thinPool{"crypt": {{"vg-a", "the-pool"}}, "thin": {{"vg-a", "the-pool"}}, "tdata": nil, "disk": nil} {
		got, err := poolsBeneath(filepath.Join(root, device))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("beneath %s are %v, %v; want %v", device, got, err, want)
		}
	}
	for _, name := range []string{"", "vg-pool", "vg-pool-tpool-x", "a-b-c-tpool", "-tpool"} {
		if pool, ok := poolOf(name); ok {
			t.Errorf("device %q is of pool %v; want none", name, pool)
		}
	}
}
