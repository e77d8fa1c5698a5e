package machine

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openLine makes the two ends of a guest's serial line. Ours does not block the whole thread, so that closing it ends
// a Read.
func openLine() (ours, kernels *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("line to the guest: %w", err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		return nil, nil, fmt.Errorf("line to the guest: %w", err)
	}
	return os.NewFile(uintptr(pair[0]), "guest line"), os.NewFile(uintptr(pair[1]), "guest line"), nil
}
