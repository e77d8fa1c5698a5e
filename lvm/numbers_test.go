package lvm

import (
	"encoding/binary"
	"maps"
	"testing"

	"golang.org/x/sys/unix"
)

// nameList is what the kernel answers to DM_LIST_DEVICES.
func nameList(names ...string) []byte {
	head := unix.DmIoctl{Data_start: 312}
	reply := append([]byte(nil), bytesOf(&head)...)
	for i, name := range names {
		entry := make([]byte, (12+len(name)+1+7)/8*8)
		binary.NativeEndian.PutUint64(entry, unix.Mkdev(254, uint32(i)))
		if i < len(names)-1 {
			binary.NativeEndian.PutUint32(entry[8:], uint32(len(entry)))
		}
		copy(entry[12:], name)
		reply = append(reply, entry...)
	}
	return reply
}

func TestNumbersAreReadByName(t *testing.T) {
	got, err := parseNumbers(nameList("vg-a", "loam--fast-pvc--1", "crypt"))
	want := Numbers{"vg-a": {254, 0}, "loam--fast-pvc--1": {254, 1}, "crypt": {254, 2}}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if major, minor, ok := got.Of("loam-fast", "pvc-1"); !ok || major != 254 || minor != 1 {
		t.Errorf("loam-fast/pvc-1 is %d:%d, %v", major, minor, ok)
	}
	head := unix.DmIoctl{Data_start: 312}
	if none, err := parseNumbers(append(bytesOf(&head), make([]byte, 16)...)); err != nil || len(none) != 0 {
		t.Errorf("without devices: %v, %v", none, err)
	}
}

func FuzzNumbers(f *testing.F) {
	f.Add(nameList("vg-a", "vg-b"))
	f.Add([]byte("short"))
	f.Fuzz(func(_ *testing.T, reply []byte) {
		_, _ = parseNumbers(reply) // ends, and does not panic
	})
}
