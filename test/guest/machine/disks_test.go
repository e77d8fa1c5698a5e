package machine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestParseDisks(t *testing.T) {
	const gib = 1 << 30
	for text, want := range map[string][]Disk{
		"1G":            {{Size: gib}},
		"3x2G":          {{Size: 2 * gib}, {Size: 2 * gib}, {Size: 2 * gib}},
		"1G,2x512M":     {{Size: gib}, {Size: gib / 2}, {Size: gib / 2}},
		"4096":          {{Size: 4096}},
		"1x1024K,1x16T": {{Size: 1 << 20}, {Size: 16 << 40}},
	} {
		if got, err := ParseDisks(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("ParseDisks(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseDisksRefuses(t *testing.T) {
	for _, text := range []string{"", "x", "0x1G", "-1x1G", "2x", "2x0", "-1G", "1.5G", "1Z", "1G,", "99999999999T", "513"} {
		if got, err := ParseDisks(text); err == nil {
			t.Errorf("ParseDisks(%q) = %v; want an error", text, got)
		}
	}
}

func TestBlankDisksAreSparseAndHaveNoName(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	files, err := openDisks("", []Disk{{Size: 1 << 40}})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(files)
	if info, err := files[0].Stat(); err != nil || info.Size() != 1<<40 {
		t.Errorf("disk of %v bytes, %v; want 1 TiB", info.Size(), err)
	}
	if names, err := os.ReadDir(folder); err != nil || len(names) != 0 {
		t.Errorf("an open disk is visible as %v (%v), so it could stay behind", names, err)
	}
}

func TestDisksThatMayNotFitIntoMemoryAreFiles(t *testing.T) {
	if folder := umlDiskFolder(Options{Memory: 1 << 30, Disks: []Disk{{Size: 1 << 50}}}); folder != "" {
		t.Errorf("a petabyte would be kept in %s", folder)
	}
	if free, err := memoryAvailable(); err != nil || free <= 0 {
		t.Errorf("%d bytes of memory are available, %v", free, err)
	}
}

func TestADiskImageServesOneGuestAtATime(t *testing.T) {
	image := Disk{Image: filepath.Join(t.TempDir(), "disk.img")}
	if _, err := openDisks("", []Disk{image}); err == nil {
		t.Error("opened an image that does not exist")
	}
	if err := os.WriteFile(image.Image, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := openDisks("", []Disk{image})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openDisks("", []Disk{{Size: 4096}, image}); err == nil {
		t.Error("opened an image that another guest has open")
	}
	closeAll(first)
	second, err := openDisks("", []Disk{image})
	if err != nil {
		t.Fatalf("after the first guest ended: %v", err)
	}
	closeAll(second)
}
