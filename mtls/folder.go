package mtls

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Folder is a Source of a folder with tls.crt, tls.key and ca.crt, as a mounted Secret has them. At every handshake it looks
// whether the files are still the ones that it read (three calls of stat; no goroutine), and reads them again when not. A
// set that cannot be read or does not fit together leaves the last good one in use.
type Folder struct {
	path    string
	changed func(problem error)

	mu       sync.Mutex // guards what follows
	seen     version    // of the files that material was read from
	material *Material  // the last good set
	problem  error      // why what is there now is not in use
}

// NewFolder is the folder of the path, which need not be there yet: handshakes fail until it is. changed is told whenever
// another set came into use (nil), and of each new reason why what is there is not in use; nil for nobody.
func NewFolder(path string, changed func(problem error)) *Folder {
	if changed == nil {
		changed = func(error) {}
	}
	return &Folder{path: path, changed: changed}
}

// Material is the last good set. Its error, while there never was one, says why.
func (f *Folder) Material() (*Material, error) {
	material, problem := f.look()
	if material == nil {
		return nil, problem
	}
	return material, nil
}

// Problem looks now and says why what the folder has is not in use; nil when it is.
func (f *Folder) Problem() error {
	_, problem := f.look()
	return problem
}

func (f *Folder) look() (*Material, error) {
	material, problem, news := f.refresh()
	if news {
		f.changed(problem)
	}
	return material, problem
}

// refresh reads the files if they are others than before, and says whether there is something new to tell.
func (f *Folder) refresh() (material *Material, problem error, news bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, said := time.Now(), f.problem
	if before, err := f.version(); err == nil && before == f.seen && current(f.material.chain[0], now) == nil {
		return f.material, nil, false
	}
	set, of, err := f.readSettled()
	if err != nil {
		// Whatever was read is read again at the next look: not all that is wrong is in the files, the time may be.
		f.seen, f.problem = version{}, fmt.Errorf("certificates in %s: %w", f.path, err)
		return f.material, f.problem, said == nil || said.Error() != f.problem.Error()
	}
	news = f.material == nil || said != nil || !f.material.equal(set)
	f.material, f.problem, f.seen = set, nil, version{}
	if of.settled(now) {
		f.seen = of
	}
	return f.material, nil, news
}

// errUnsettled: the files became others while they were read, as when the kubelet swaps the Secret's link.
var errUnsettled = errors.New("changing while it is read")

// readSettled reads the files again when they changed under its hands, a few times.
func (f *Folder) readSettled() (set *Material, of version, err error) {
	for range 3 {
		if of, err = f.version(); err == nil {
			set, err = f.read(of)
		}
		if !errors.Is(err, errUnsettled) && !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	return set, of, err
}

// read parses the files, all of the version.
func (f *Folder) read(of version) (*Material, error) {
	var set PEM
	for name, part := range map[string]*[]byte{
		CertificateName: &set.Certificate, KeyName: &set.Key, AuthoritiesName: &set.Authorities,
	} {
		data, err := os.ReadFile(filepath.Join(f.path, name))
		if err != nil {
			return nil, err
		}
		*part = data
	}
	after, err := f.version()
	if err != nil {
		return nil, err
	}
	if after != of {
		return nil, errUnsettled
	}
	return Parse(set, time.Now())
}

// version tells contents of the three files apart without reading them, through whatever links they are reached.
type version [3]struct {
	inode, device uint64
	size          int64
	written       int64 // nanoseconds since 1970: the change of the inode (ctime), which nobody can set back
}

func (f *Folder) version() (version, error) {
	var v version
	for i, name := range []string{CertificateName, KeyName, AuthoritiesName} {
		info, err := os.Stat(filepath.Join(f.path, name))
		if err != nil {
			return version{}, err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return version{}, fmt.Errorf("%s: no inode", name)
		}
		v[i].inode, v[i].device, v[i].size, v[i].written = stat.Ino, stat.Dev, stat.Size, stat.Ctim.Nano()
	}
	return v, nil
}

// settled: a change from now on would change the version. The kernel stamps files with the time of its last tick, up to
// 10 ms ago (CONFIG_HZ=100), so that two writes within one look alike.
func (v version) settled(now time.Time) bool {
	for _, file := range v {
		if age := now.UnixNano() - file.written; age >= 0 && age < int64(100*time.Millisecond) {
			return false
		}
	}
	return true
}
