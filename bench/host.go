package bench

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// ThisHost is the machine that this process runs on.
func ThisHost() (Host, error) {
	name, err := os.Hostname()
	if err != nil {
		return Host{}, err
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Host{}, fmt.Errorf("uname: %w", err)
	}
	return Host{Name: name, Kernel: unix.ByteSliceToString(u.Release[:]), CPUs: runtime.NumCPU()}, nil
}
