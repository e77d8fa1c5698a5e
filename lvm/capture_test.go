package lvm_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/loam-storage/loam/lvm"
)

var capture = flag.Bool("capture", false, "write what real LVM reports to testdata")

// TestCapture refreshes testdata/*, in the guest: LVM's report, and what the first device carries.
//
//	go test -exec "<guest> --disks=3x300M --writable $PWD/lvm/testdata --" ./lvm -run Capture -capture
func TestCapture(t *testing.T) {
	if !*capture {
		t.Skip("writes testdata: run it in the guest with -capture")
	}
	for name, build := range scenarios {
		t.Run(name, func(t *testing.T) {
			l, devices := open(t, lvm.Options{})
			build(&machine{t, l, devices})
			out, err := l.RawReport()
			if err != nil {
				t.Fatal(err)
			}
			heads, text, err := lvm.Metadata(devices[0])
			if err != nil {
				t.Fatal(err)
			}
			for suffix, content := range map[string][]byte{".json": out, ".heads": heads, ".metadata": text} {
				if err := os.WriteFile(filepath.Join("testdata", name+suffix), content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// scenarios build what is captured; parse_test.go says what a report of each must hold.
var scenarios = map[string]func(*machine){
	"empty": func(*machine) {},
	"thin": func(r *machine) {
		r.pool(lvm.CreatePool{VG: vg, Name: "pool", Size: 100 * lvm.MiB, MetadataSize: 8 * lvm.MiB, Tags: []string{"loam.storage/pool=fast"}})
		r.must(r.l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "a", Size: 80 * lvm.MiB, Tags: []string{"z", "b/c=d"}}))
		r.write("a", 0, 10*lvm.MiB)
		r.must(r.l.CreateSnapshot(lvm.CreateSnapshot{VG: vg, Origin: "a", Name: "snap", Pool: "pool"}))
		r.must(r.l.CreateSnapshot(lvm.CreateSnapshot{VG: vg, Origin: "snap", Name: "clone", Pool: "pool", Writable: true}))
		r.must(r.l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "inactive", Size: 40 * lvm.MiB}))
		r.must(r.l.Deactivate(vg, "inactive"))
		r.open("clone")
	},
	"thick": func(r *machine) {
		r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:2], Tags: []string{"t1", "t2"}, MetadataSize: 16 * lvm.MiB}))
		r.must(r.l.CreateThick(lvm.CreateThick{VG: vg, Name: "striped", Size: 24 * lvm.MiB, Stripes: 2}))
		r.must(r.l.CreateThick(lvm.CreateThick{VG: vg, Name: "linear", Size: 8 * lvm.MiB}))
		r.must(r.l.CreateThick(lvm.CreateThick{VG: vg, Name: "other", Size: 8 * lvm.MiB}))
		r.must(r.l.Extend(vg, "linear", 16*lvm.MiB)) // two segments
	},
	"striped-pool": func(r *machine) {
		r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:2]}))
		r.must(r.l.CreatePool(lvm.CreatePool{VG: vg, Name: "pool", Size: 64 * lvm.MiB, Stripes: 2}))
	},
	"full": func(r *machine) {
		r.pool(lvm.CreatePool{VG: vg, Name: "pool", Size: 8 * lvm.MiB})
		r.must(r.l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "a", Size: 40 * lvm.MiB}))
		r.fill("a")
	},
	"missing": func(r *machine) {
		r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:2]}))
		r.must(r.l.CreateThick(lvm.CreateThick{VG: vg, Name: "wide", Size: 8 * lvm.MiB, Stripes: 2}))
		r.must(r.l.Deactivate(vg, "wide"))
		r.l.SetDevices(r.devices[:1])
		r.t.Cleanup(func() { r.l.SetDevices(r.devices) })
	},
	"exported": func(r *machine) {
		r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:1]}))
		r.lvm("vgexport", vg)
	},
	"foreign": func(r *machine) {
		r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:1]}))
		r.lvm("vgchange", "--yes", "--systemid", "other-host", vg)
	},
	"duplicate": func(r *machine) {
		r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:1]}))
		r.copyHead(r.devices[0], r.devices[1])
	},
	"unused": func(r *machine) {
		r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:1]}))
		r.lvm("pvcreate", r.devices[1], r.devices[2])
	},
}
