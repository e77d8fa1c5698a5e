// Package signature says what is on a block device, and never guesses: Read either could read the device and says what it
// found, or is an error. "Blank" is said only of a device whose head and tail were read and are nothing but zeroes.
package signature

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/node/tool"
)

// ErrUnreadable says that a device, or a part of it that matters, could not be read.
var ErrUnreadable = errors.New("unreadable")

// ends is how much is read at both ends of a device: every known format has its marks there.
const ends = 1 << 20

// Signature is what was found on a device.
type Signature struct {
	Blank          bool   // head and tail were read and hold nothing but zeroes
	Type           string // as blkid names it: ext4, xfs, LVM2_member, crypto_LUKS, linux_raid_member, swap, zfs_member, …
	Usage          string // filesystem, raid, crypto, other
	UUID, Label    string
	PartitionTable string // gpt, dos, …
	Ambivalent     bool   // several formats claim the device
	DataAt         int64  // first byte that is not zero when no format is known; -1 for none
}

// String says it in words, to follow "holds".
func (s Signature) String() string {
	switch {
	case s.Ambivalent:
		return "signatures of several formats"
	case s.Type != "":
		name := s.Type + " " + map[string]string{"filesystem": "file system"}[s.Usage]
		if s.Label != "" {
			return fmt.Sprintf("%s labelled %q", strings.TrimSpace(name), s.Label)
		}
		return strings.TrimSpace(name)
	case s.PartitionTable != "":
		return "a partition table (" + s.PartitionTable + ")"
	case s.Blank:
		return "nothing"
	}
	return fmt.Sprintf("data at byte %d that no known format explains", s.DataAt)
}

// Read looks at a block device, or at a file that holds the image of one. Errors: ErrUnreadable.
func Read(ctx context.Context, path string) (Signature, error) {
	at, err := firstByte(path)
	if err != nil {
		return Signature{}, err
	}
	s, err := probe(ctx, path)
	if err != nil {
		return Signature{}, err
	}
	s.DataAt = at
	s.Blank = at < 0 && !s.Ambivalent && s.Type == "" && s.PartitionTable == ""
	return s, nil
}

// probe runs blkid's low-level probing. It exits with 2 for a blank device and for one that it cannot read alike, which
// is why firstByte comes before it; with 8 when several formats match (blkid(8)).
func probe(ctx context.Context, path string) (Signature, error) {
	out, err := tool.Run(ctx, "blkid", "--probe", "--output", "export", "--", path)
	var e *tool.Error
	if errors.As(err, &e) {
		switch e.ExitCode {
		case 2:
			return Signature{}, nil
		case 8:
			return Signature{Ambivalent: true}, nil
		}
	}
	if err != nil {
		return Signature{}, fmt.Errorf("probing %s: %w", path, err)
	}
	return parse(out), nil
}

// parse reads blkid's export format: a line KEY=value each, values escaped with backslashes.
func parse(out string) Signature {
	var s Signature
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		value = unescape(value)
		switch key {
		case "TYPE":
			s.Type = value
		case "USAGE":
			s.Usage = value
		case "UUID":
			s.UUID = value
		case "LABEL":
			s.Label = value
		case "PTTYPE":
			s.PartitionTable = value
		}
	}
	return s
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// firstByte reads both ends past the page cache and returns where the first byte is that is not zero; -1 for none.
func firstByte(path string) (int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) { // a file on a file system without O_DIRECT
		f, err = os.Open(path)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Mode().Type()&^os.ModeDevice != 0 {
		return 0, fmt.Errorf("%s: %w: neither a block device nor a file", path, ErrUnreadable)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %w", path, ErrUnreadable, err)
	}
	buffer := aligned(ends)
	for _, from := range []int64{0, max(0, (size-ends)&^4095)} {
		n, err := f.ReadAt(buffer[:min(ends, (size-from+4095)&^4095)], from)
		if err != nil && !errors.Is(err, io.EOF) || int64(n) < min(ends, size-from) {
			return 0, fmt.Errorf("%s: reading %d bytes at %d: %w: %w", path, ends, from, ErrUnreadable, err)
		}
		for i, c := range buffer[:n] {
			if c != 0 {
				return from + int64(i), nil
			}
		}
	}
	return -1, nil
}

// aligned returns n bytes as O_DIRECT wants them in memory (open(2)).
func aligned(n int) []byte {
	const page = 4096
	b := make([]byte, n+page)
	skip := page - int(uintptr(unsafe.Pointer(&b[0]))%page)
	return b[skip : skip+n : skip+n]
}
