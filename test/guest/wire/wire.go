// Package wire is how the program that starts a guest and the init inside it talk: frames over one byte-clean
// serial line. The guest speaks first (Ready), the host answers with Start, then both send until the guest's Exit.
//
// One line carries everything because kernels offer many kinds of serial line, but rarely several that keep the
// end of stdin, two output streams and an exit status apart. The kernel's own messages never travel on it.
package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Kind says what a frame carries.
type Kind byte

// Frames, with the side that sends them.
const (
	Ready   Kind = iota + 1 // guest: the line is raw, Start may come
	Start                   // host: a Command, as JSON
	Stdin                   // host: bytes for the command; none means end of file
	Credit                  // guest: a Count of stdin bytes that the command has taken
	Taken                   // guest: a Count of bytes that it has read off the line
	Resize                  // host: a Size, as JSON
	Signal                  // host: a Count that is a signal for the command
	Stdout                  // guest: bytes
	Stderr                  // guest: bytes
	Started                 // guest: the command is about to start
	Exit                    // guest: a Count that is the exit status; the last frame
	Failed                  // guest: why the command could not be run; the last frame
)

// StdinWindow bounds the stdin bytes that are under way, so that a command that does not read its stdin cannot hold up
// a Resize or a Signal behind it.
const StdinWindow = 64 << 10

// LineWindow bounds the bytes from host to guest that the guest has not read off the line. Linux throttles a serial
// line when fewer than 128 of its 4096 bytes of buffer are free (drivers/tty/n_tty.c), and a line of User Mode Linux
// once throttled stays deaf: its driver (arch/um/drivers/line.c) does not turn the interrupt on again.
const LineWindow = 3 << 10

// maxFrame bounds what a reader allocates: a Command holds a whole environment and argument list, each of which
// Linux bounds by 2 MiB or so.
const maxFrame = 16 << 20

// ShareTag is the name under which a virtual machine finds the host's files.
const ShareTag = "host"

// PortName is the name of the virtio-serial port that is a virtual machine's line.
const PortName = "guest"

// Size is a terminal's size in characters.
type Size struct{ Rows, Columns uint16 }

// Command is what to run in the guest, and what the guest must look like for it.
type Command struct {
	Args     []string // Args[0] is looked up in PATH
	Env      []string
	Dir      string
	Writable []string // directories of the host that the command may write to
	Modules  string   // where among the host's files the guest kernel's modules are
	Disks    []string // device nodes that must be there
	Terminal *Size    // the command gets a terminal; nil: pipes
}

// InitVariable on a kernel's command line marks a guest's; its value is the FileShare. Linux passes parameters that it
// does not know to init as its environment: Documentation/admin-guide/kernel-parameters.rst.
const InitVariable = "LOAM_GUEST_INIT"

// FileShare names the file system that shows the host's files to a guest.
type FileShare string

// The two ways to see the host's files.
const (
	HostFS   FileShare = "hostfs"   // User Mode Linux: Documentation/virt/uml/user_mode_linux_howto_v2.rst
	VirtioFS FileShare = "virtiofs" // QEMU: Documentation/filesystems/virtiofs.rst
)

// Read receives one frame.
func Read(r io.Reader) (Kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	kind, size := Kind(head[0]), binary.BigEndian.Uint32(head[1:])
	if kind < Ready || kind > Failed || size > maxFrame {
		return 0, nil, fmt.Errorf("not a frame: kind %d, %d bytes", kind, size)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, fmt.Errorf("frame cut short: %w", err)
	}
	return kind, payload, nil
}

// ParseCount reads the number that a frame carries.
func ParseCount(payload []byte) (int64, error) {
	if len(payload) != 8 {
		return 0, fmt.Errorf("a number of %d bytes, not 8", len(payload))
	}
	return int64(binary.BigEndian.Uint64(payload)), nil
}
