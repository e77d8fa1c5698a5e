package filesystem

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/device"
)

// madeSmall formats only the beginning of a device, as it was before the device grew.
func madeSmall(t *testing.T, device string, kind Type, size lvm.Bytes) MakeRequest {
	t.Helper()
	requireMkfs(t, kind)
	r := MakeRequest{Device: device, Type: kind, UUID: UUID(t.Name())}
	args := makeArgs(r)
	if kind == Ext4 {
		args = append(args, strconv.FormatInt(int64(size/(4*lvm.KiB)), 10))
	} else {
		args = append([]string{"-d", "size=" + strconv.FormatInt(int64(size), 10)}, args...)
	}
	run(t, "mkfs."+string(kind), args...)
	return r
}

func TestRealGrowFillsTheDeviceWhileItIsInUse(t *testing.T) {
	for _, c := range []struct {
		name string
		kind Type
		from lvm.Bytes
	}{
		{"ext4 by a quarter", Ext4, 800 * lvm.MiB},
		{"ext4 from the smallest, by far more than twentyfold", Ext4, MinimumSize(Ext4)},
		{"xfs by a quarter", XFS, 800 * lvm.MiB},
		{"xfs from the smallest", XFS, MinimumSize(XFS)},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := oneDisk(t)
			m := root(t)
			r := madeSmall(t, disk, c.kind, c.from)
			target := m.mounted(t, StageRequest{Device: disk, Type: c.kind, Thin: true})
			data := randomData()
			write(t, filepath.Join(target, "before"), string(data))
			open, err := os.Create(filepath.Join(target, "during"))
			if err != nil {
				t.Fatal(err)
			}
			grow := GrowRequest{Device: disk, MountPoint: target, Type: c.kind}
			if size := grow.mustSize(t); size != c.from {
				t.Fatalf("before growing it has %v, want %v", size, c.from)
			}
			if err := Grow(context.Background(), grow); err != nil {
				t.Fatal(err)
			}
			if _, err := open.Write(data); err != nil {
				t.Error(err)
			}
			if err := errors.Join(open.Sync(), open.Close()); err != nil {
				t.Error(err)
			}
			m.assertFull(t, grow)
			for _, name := range []string{"before", "during"} {
				if got, err := os.ReadFile(filepath.Join(target, name)); err != nil || !bytes.Equal(got, data) {
					t.Errorf("the data written %s differs, %v", name, err)
				}
			}
			if err := m.Unmount(target); err != nil {
				t.Fatal(err)
			}
			assertClean(t, r, "grown")
		})
	}
}

// assertFull says whether a file system fills its device, and is then left alone: through a read-only mount nothing grows.
func (m Mounter) assertFull(t *testing.T, r GrowRequest) {
	t.Helper()
	full, err := device.Size(r.Device)
	if err != nil {
		t.Fatal(err)
	}
	if size := r.mustSize(t); size != full {
		t.Errorf("the file system has %v of the device's %v", size, full)
	}
	bind := BindRequest{Source: r.MountPoint, Target: filepath.Join(m.Root, "read-only"), ReadOnly: true}
	if err := m.Bind(bind); err != nil {
		t.Fatal(err)
	}
	r.MountPoint = bind.Target
	if err := Grow(context.Background(), r); err != nil {
		t.Errorf("growing what is full already: %v", err)
	}
	if err := errors.Join(m.Unmount(bind.Target), m.Remove(bind.Target)); err != nil {
		t.Error(err)
	}
}

func (r GrowRequest) mustSize(t *testing.T) lvm.Bytes {
	t.Helper()
	if r.Type == Ext4 {
		s, err := readMountedExt4(r.Device)
		if err != nil {
			t.Fatal(err)
		}
		return s.size
	}
	at, err := r.open()
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	now, err := geometryOfXFS(at)
	if err != nil {
		t.Fatal(err)
	}
	return now.size()
}

// randomData fills the journal's first blocks and more, of a file system of 16 MiB.
func randomData() []byte {
	b := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // it never fails
	return b
}

func TestRealGrowOfWhatIsNotMountedIsAnError(t *testing.T) {
	disk := oneDisk(t)
	m := root(t)
	madeSmall(t, disk, XFS, 400*lvm.MiB)
	if err := Grow(context.Background(), GrowRequest{Device: disk, MountPoint: m.folder(t), Type: XFS}); err == nil {
		t.Error("Grow went well on a folder that is no mount of xfs")
	}
}
