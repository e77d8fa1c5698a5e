package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/node/tool"
)

// Fio is the Engine that runs fio(1). FindFio makes one.
type Fio struct {
	version string // "3.33"
	library string // fio's ioengine
}

// The ways in which fio does asynchronous I/O here. libaio is what the built-in engine does, too, and what containers may use.
const (
	libaio  = "libaio"
	ioUring = "io_uring"
)

// ErrNoFio says that there is no fio, or one that will not do.
var ErrNoFio = errors.New("fio cannot be used")

// The oldest fio that is used: what is in its JSON is known, and tested.
const fioMajor, fioMinor = 3, 33

// lastWords is how long fio may take, when it is interrupted, to say what it measured until then.
const lastWords = 10 * time.Second

// FindFio looks for fio. Errors: ErrNoFio, the context's.
func FindFio(ctx context.Context, library string) (Fio, error) {
	out, err := tool.Run(ctx, "fio", "--version")
	switch {
	case ctx.Err() != nil:
		return Fio{}, err
	case err != nil:
		return Fio{}, fmt.Errorf("%w: %w", ErrNoFio, err)
	}
	version, err := fioVersion(out)
	if err != nil {
		return Fio{}, err
	}
	if library == ioUring {
		if err := probeIOUring(); err != nil {
			return Fio{}, fmt.Errorf("%w with io_uring, which the kernel, or what confines this process, refuses: %w", ErrNoFio, err)
		}
	}
	return Fio{version: version, library: library}, nil
}

var fioVersions = regexp.MustCompile(`^fio-(([0-9]{1,4})\.([0-9]{1,4})[-+.a-zA-Z0-9]{0,40})\s*$`)

// fioVersion reads what fio --version prints: "fio-3.33", or "fio-3.36-29-g5f4c" of one that is not released.
func fioVersion(printed string) (string, error) {
	m := fioVersions.FindStringSubmatch(printed)
	if m == nil {
		return "", fmt.Errorf("%w: fio --version printed %.40q: expected fio-%d.%d or a later one", ErrNoFio, printed, fioMajor, fioMinor)
	}
	major, _ := strconv.Atoi(m[2]) // up to four digits
	minor, _ := strconv.Atoi(m[3])
	if major < fioMajor || major == fioMajor && minor < fioMinor {
		return "", fmt.Errorf("%w: it is version %s: expected %d.%d or a later one", ErrNoFio, m[1], fioMajor, fioMinor)
	}
	return m[1], nil
}

// probeIOUring makes a ring of one entry. Containers are usually forbidden to (seccomp), and so may be all but root
// (Documentation/admin-guide/sysctl/kernel.rst, io_uring_disabled).
func probeIOUring() error {
	var parameters [120]byte // struct io_uring_params
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&parameters[0])), 0)
	if errno != 0 {
		return fmt.Errorf("io_uring_setup: %w", errno)
	}
	return unix.Close(int(fd))
}

// Name is "fio 3.33", or "fio 3.33, io_uring".
func (f Fio) Name() string {
	if f.library == ioUring {
		return "fio " + f.version + ", " + ioUring
	}
	return "fio " + f.version
}

// Run implements Engine.
func (f Fio) Run(ctx context.Context, s Spec) (Measurement, error) {
	if err := s.check(); err != nil {
		return Measurement{}, err
	}
	if s.Apart > s.Job.BlockSize {
		return Measurement{}, fmt.Errorf("job %s: blocks %v apart: fio has no such order", s.Job.Name, s.Apart)
	}
	if s.Once && s.WarmUp > 0 {
		return Measurement{}, fmt.Errorf("job %s: a warm-up of %v before a run that reaches every block once: expected none", s.Job.Name, s.WarmUp)
	}
	if err := s.opens(); err != nil {
		return Measurement{}, err
	}
	printed, log, failed := f.run(ctx, s)
	words, m, err := readFio(printed, log, s)
	switch {
	case ctx.Err() != nil:
		return m, ctx.Err()
	case failed != nil:
		return m, fmt.Errorf("job %s: %w", s.Job.Name, withWords(failed, words))
	case err != nil:
		return Measurement{}, fmt.Errorf("job %s: %w", s.Job.Name, err)
	case m.All == 0:
		return Measurement{}, fmt.Errorf("job %s: fio moved nothing: %s", s.Job.Name, words)
	}
	return m, nil
}

// run returns what fio printed, and its log of each second, whether it failed or not.
func (f Fio) run(ctx context.Context, s Spec) (printed, log []byte, failed error) {
	folder, err := os.MkdirTemp("", "loam-fio-*")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }() // what stays of it is small, and in the folder for temporary files
	path := filepath.Join(folder, "log")
	var out bytes.Buffer
	_, failed = tool.Command{Name: "fio", Args: f.arguments(s, path), Stdout: &out, Patience: lastWords}.Run(ctx)
	log, err = os.ReadFile(path + "_iops.log")
	if err != nil && failed == nil && !errors.Is(err, os.ErrNotExist) { // a run of less than a second has none
		failed = err
	}
	return out.Bytes(), log, failed
}

// opens says beforehand, as the built-in engine does, why fio could not open the file.
func (s Spec) opens() error {
	flags := unix.O_DIRECT
	if s.Job.Sync {
		flags = 0
	}
	f, err := s.open(flags)
	if err != nil {
		return err
	}
	return f.Close()
}

// withWords adds what fio printed beside its JSON.
func withWords(err error, words string) error {
	if e, ok := errors.AsType[*tool.Error](err); ok {
		e.Stdout = ""
		e.Stderr = strings.TrimSpace(words + " " + e.Stderr)
	}
	return err
}
