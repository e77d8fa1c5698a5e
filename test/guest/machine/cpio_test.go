package machine

import (
	"bytes"
	"errors"
	"fmt"

	"testing"
)

func TestCpioHoldsFilesAtAlignedOffsets(t *testing.T) {
	var archive bytes.Buffer
	w := &cpioWriter{out: &archive}
	w.add("dev", cpioFolder, nil)
	for size := range 9 {
		w.add(fmt.Sprintf("dev/%0*d", size+1, size), cpioFile, bytes.Repeat([]byte{byte(size)}, size))
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	data := archive.Bytes()
	name, mode, content, data := cpioEntry(t, data)
	if name != "dev" || mode != cpioFolder || len(content) != 0 {
		t.Errorf("first entry: %s %o, %d bytes; want the folder", name, mode, len(content))
	}
	for size := range 9 {
		name, mode, content, data = cpioEntry(t, data)
		want := bytes.Repeat([]byte{byte(size)}, size)
		if name != fmt.Sprintf("dev/%0*d", size+1, size) || mode != cpioFile || !bytes.Equal(content, want) {
			t.Errorf("entry of %d bytes: %s %o %q", size, name, mode, content)
		}
	}
	if name, _, _, data = cpioEntry(t, data); name != "TRAILER!!!" || len(data) != 0 {
		t.Errorf("last entry %q with %d bytes behind it; want the trailer at the end", name, len(data))
	}
}

// cpioEntry takes the first entry off an archive, as init/initramfs.c of the kernel does.
func cpioEntry(t *testing.T, data []byte) (name string, mode int, content, rest []byte) {
	t.Helper()
	var field [13]int
	if len(data) < 110 || string(data[:6]) != "070701" {
		t.Fatalf("no header at %.20q", data)
	}
	for i := range field {
		if _, err := fmt.Sscanf(string(data[6+8*i:14+8*i]), "%08X", &field[i]); err != nil {
			t.Fatal(err)
		}
	}
	size, nameSize := field[6], field[11]
	align := func(n int) int { return (n + 3) &^ 3 }
	start := align(110 + nameSize)
	return string(data[110 : 110+nameSize-1]), field[1], data[start : start+size], data[align(start+size):]
}

type fullDisk struct{}

var errFull = errors.New("no space left")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestCpioReportsThatItCouldNotBeWritten(t *testing.T) {
	w := &cpioWriter{out: fullDisk{}}
	w.add("init", cpioFile, []byte("x"))
	if err := w.close(); !errors.Is(err, errFull) {
		t.Errorf("close: %v; want the writer's error", err)
	}
}
