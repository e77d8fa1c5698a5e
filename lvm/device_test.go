package lvm

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	vgPart = "MjsrUo8BJ9BzEbXd12Ml0dvUUa7S2HLQ"
	lvPart = "kJ069xptd1Ug4vXE0mmqACEYkq1wZDvr"
)

// reply is what the kernel answers to DM_TABLE_STATUS.
type reply struct {
	uuid    string
	flags   uint32
	open    int32
	targets []target
}

func (r reply) encode(t testing.TB) []byte {
	t.Helper()
	head := unix.DmIoctl{
		Version: [3]uint32{4, 47, 0}, Data_start: 312, Target_count: uint32(len(r.targets)), Open_count: r.open, Flags: r.flags,
		Dev: unix.Mkdev(254, 4),
	}
	copy(head.Uuid[:], r.uuid)
	b, err := binary.Append(nil, binary.NativeEndian, head)
	for _, target := range r.targets {
		at := len(b) - 312
		status := append([]byte(target.status), make([]byte, 8-len(target.status)%8)...)
		spec := unix.DmTargetSpec{Sector_start: target.start, Length: target.length, Next: uint32(at + 40 + len(status))}
		copy(spec.Target_type[:], target.kind)
		if err == nil {
			b, err = binary.Append(b, binary.NativeEndian, spec)
		}
		b = append(b, status...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return append(b, make([]byte, 100)...)
}

func TestStatusOfDevices(t *testing.T) {
	ours := uuidPrefix + vgPart + lvPart
	const dashes = "kJ069x-ptd1-Ug4v-XE0m-mqAC-EYkq-1wZDvr"
	for _, test := range []struct {
		name  string
		reply reply
		want  Device
	}{
		{
			"thin", reply{ours, 0, 1, []target{{0, 204800, "thin", "14336 14335"}}},
			Device{UUID: dashes, Size: 100 * MiB, OpenCount: 1, Mapped: 7 * MiB},
		},
		{"fresh thin", reply{ours, 0, 0, []target{{0, 204800, "thin", "0 -"}}}, Device{UUID: dashes, Size: 100 * MiB}},
		{"thin of a failed pool", reply{ours, 0, 0, []target{{0, 2048, "thin", "Fail"}}}, Device{UUID: dashes, Size: MiB, Mapped: -1}},
		{"suspended", reply{ours, unix.DM_SUSPEND_FLAG, 2, []target{{0, 2048, "linear", ""}}}, Device{UUID: dashes, Size: MiB, OpenCount: 2, Suspended: true}},
		{"two segments", reply{ours, 0, 0, []target{{0, 2048, "linear", ""}, {2048, 4096, "striped", "2 8:0 8:16 1 AA"}}}, Device{UUID: dashes, Size: 3 * MiB}},
		{"pool", reply{ours + "-tpool", 0, 0, []target{{0, 2048, "thin-pool", "1 112/1024 112/3200 - rw"}}}, Device{UUID: dashes, Size: MiB}},
		{"no table", reply{ours, unix.DM_SUSPEND_FLAG, 0, nil}, Device{UUID: dashes, Suspended: true}},
	} {
		test.want.Major, test.want.Minor = 254, 4
		if got, err := readDevice(test.reply.encode(t)); err != nil || got != test.want {
			t.Errorf("%s: got %+v, error %v, want %+v", test.name, got, err, test.want)
		}
	}
}

func readDevice(reply []byte) (Device, error) {
	m, err := parseStatus(reply)
	if err != nil {
		return Device{}, err
	}
	return deviceOf(m)
}

func TestStatusThatIsNotLVMsIsRefused(t *testing.T) {
	good := reply{uuidPrefix + vgPart + lvPart, 0, 0, []target{{0, 2048, "thin", "0 -"}}}.encode(t)
	for name, b := range map[string][]byte{
		"empty":             nil,
		"half a header":     good[:200],
		"header only":       good[:320],
		"no UUID":           reply{"", 0, 0, nil}.encode(t),
		"crypt's":           reply{"CRYPT-LUKS2-" + vgPart + lvPart, 0, 0, nil}.encode(t),
		"short UUID":        reply{uuidPrefix + vgPart, 0, 0, nil}.encode(t),
		"UUID with a slash": reply{uuidPrefix + vgPart + strings.Repeat("/", 32), 0, 0, nil}.encode(t),
		"target too large":  reply{uuidPrefix + vgPart + lvPart, 0, 0, []target{{1, 1<<64 - 1, "thin", ""}}}.encode(t),
	} {
		if d, err := readDevice(b); err == nil {
			t.Errorf("%s: read as %+v", name, d)
		}
	}
}

func FuzzStatus(f *testing.F) {
	f.Add(reply{uuidPrefix + vgPart + lvPart, 0, 1, []target{{0, 2048, "thin", "14336 14335"}, {2048, 8, "linear", ""}}}.encode(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := readDevice(b); err == nil && (d.Size < 0 || d.Mapped < -1 || len(d.UUID) != 38) {
			t.Errorf("read as %+v", d)
		}
	})
}

func TestKernelWithoutDeviceMapperIsAClearError(t *testing.T) {
	if f, err := os.OpenFile(controlDevice, os.O_RDWR, 0); err == nil {
		f.Close()
		t.Skip("this kernel has device-mapper")
	}
	_, err := New(Options{}).Device("vg", "lv")
	if err == nil || errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), controlDevice) {
		t.Errorf("the error is %v, expected one that names %s and is not ErrNoDevice", err, controlDevice)
	}
}
