package machine

import (
	"fmt"
	"io"
)

// cpioWriter writes a cpio archive in the format "newc", which the kernel unpacks:
// Documentation/driver-api/early-userspace/buffer-format.rst.
type cpioWriter struct {
	out   io.Writer
	inode int
	err   error
}

const (
	cpioFolder = 0o040755
	cpioFile   = 0o100755
)

// add appends a folder or a file; a folder before what is in it. Names are relative. An error is kept for close.
func (w *cpioWriter) add(name string, mode int, data []byte) {
	w.inode++
	const links, owner, group, time, major, minor, checksum = 1, 0, 0, 0, 0, 0, 0
	header := fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		w.inode, mode, owner, group, links, time, len(data), major, minor, major, minor, len(name)+1, checksum)
	w.padded(append(append(header, name...), 0))
	w.padded(data)
}

// padded writes data and fills up to a multiple of four bytes.
func (w *cpioWriter) padded(data []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(append(data[:len(data):len(data)], make([]byte, -len(data)&3)...))
	}
}

// close ends the archive.
func (w *cpioWriter) close() error {
	w.add("TRAILER!!!", 0, nil)
	return w.err
}
