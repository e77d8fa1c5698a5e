// Package inside is the guest's side of test/guest: the first process (PID 1) of a kernel that was booted to run one
// command. It loads the device-mapper modules, shows the host's files with everything written to them kept in
// memory, runs the command, passes its streams and exit status over the wire, and powers the kernel off.
//
// It is never meant to run outside a guest, and refuses to.
package inside

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/test/guest/wire"
)

// IsInit says whether this process is a guest's first one: a program that starts guests calls RunInit then, before
// anything else.
func IsInit() bool {
	return os.Getpid() == 1 && os.Getenv(wire.InitVariable) != ""
}

// RunInit runs the guest's one command and powers off. It does not return.
func RunInit() {
	defer powerOff()
	share := wire.FileShare(os.Getenv(wire.InitVariable))
	line, err := openLine(share)
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest: no line to the host:", err)
		return
	}
	out := wire.NewSender(line)
	status, err := serve(share, bufio.NewReader(reader{line, out}), out)
	if err != nil {
		_ = out.Send(wire.Failed, []byte(err.Error()))
	} else {
		_ = out.Count(wire.Exit, int64(status))
	}
	drain(line)
}

// serve takes the host's order and carries it out.
func serve(share wire.FileShare, line io.Reader, out *wire.Sender) (int, error) {
	if err := out.Send(wire.Ready, nil); err != nil {
		return 0, err
	}
	kind, payload, err := wire.Read(line)
	if err != nil {
		return 0, fmt.Errorf("no order from the host: %w", err)
	}
	var order wire.Command
	if err := json.Unmarshal(payload, &order); err != nil || kind != wire.Start {
		return 0, fmt.Errorf("not an order (frame %d): %v", kind, err) //nolint:errorlint // may be nil
	}
	if err := prepare(share, order); err != nil {
		return 0, err
	}
	if err := out.Send(wire.Started, nil); err != nil {
		return 0, err
	}
	return run(order, line, out)
}

// prepare makes the kernel a machine: modules, files, devices, the loopback interface.
func prepare(share wire.FileShare, order wire.Command) error {
	if err := mountRoot(share, order); err != nil {
		return err
	}
	if err := loadModules(installedModules, deviceModules); err != nil {
		return err
	}
	if err := configureLVM(); err != nil {
		return err
	}
	for _, disk := range order.Disks {
		if _, err := os.Stat(disk); err != nil {
			return fmt.Errorf("the kernel did not take a disk: %w", err)
		}
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("bring up the loopback interface: %w", err)
	}
	if err := unix.Sethostname([]byte("guest")); err != nil {
		return fmt.Errorf("name the guest: %w", err)
	}
	return nil
}

// powerOff writes out what is cached, for disk images and directories that outlive the guest, and stops the kernel.
// Writing out is bounded: with a suspended device-mapper device it would never end.
func powerOff() {
	synced := make(chan struct{})
	go func() {
		defer close(synced)
		unix.Sync()
	}()
	select {
	case <-synced:
	case <-time.After(10 * time.Second):
		fmt.Fprintln(os.Stderr, "guest: not everything could be written out: a device hangs")
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// loopbackUp sets the flag IFF_UP of lo (netdevice(7)). It is the only interface.
func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}
