package lvm

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Options are how LVM is run. The zero value runs the installed binary and keeps no text backups.
type Options struct {
	// Binary is the lvm executable; "" finds /usr/sbin/lvm or /sbin/lvm once.
	Binary string
	// ConfigDir is a folder of the caller's, on a tmpfs at best, in which an lvm.conf is written before the first command, and
	// which replaces /etc/lvm. "" passes the same settings on the command line, over the host's lvm.conf; each command is then
	// about 20 ms slower, as LVM heeds global/use_aio only in a file.
	ConfigDir string
	// BackupDir is where LVM keeps a text copy of each group's metadata (vgcfgrestore(8)) after every change; it belongs
	// on another device than the groups. "" keeps none.
	BackupDir string
	// Observe, if not nil, is told of every lvm process after it ended: for logs, metrics and counts. It may be called
	// from several goroutines at once.
	Observe func(Command)
}

// Command is one lvm process that ended.
type Command struct {
	Args     []string // without the binary and without the options that every command gets; Args[0] is LVM's command
	Duration time.Duration
	ExitCode int   // -1 when a signal ended it or it never started
	Err      error // nil when it succeeded
}

// LVM runs lvm commands. It is safe for concurrent use; New makes it.
type LVM struct {
	options Options
	binary  string
	flush   func(device string) error // fsync; replaced by tests

	running sync.WaitGroup // reports whose callers may have left
	reader  reader         // of the one report that is made at a time
	asked   Questions

	configuring sync.Mutex // guards the writing of lvm.conf, and
	configured  bool       // whether it is written

	mu       sync.Mutex // guards what follows
	devices  []string
	silent   []string               // devices that do not answer, and others of the same groups
	hung     map[string]bool        // those groups, by name
	locks    map[string]*sync.Mutex // by volume group
	members  map[string][]string    // devices of each volume group, as far as known
	changes  int                    // how often members changed by something else than a report
	reports  flights
	backedUp map[string]int64 // the change of each volume group that BackupDir has
}

// New finds the binary and starts nothing. Until SetDevices, LVM may look at no device. See Available for whether LVM
// can be used at all.
func New(o Options) *LVM {
	l := &LVM{
		options: o, binary: findBinary(o.Binary), flush: fsync,
		locks: map[string]*sync.Mutex{}, members: map[string][]string{}, backedUp: map[string]int64{},
	}
	l.reader = newReader(&l.asked)
	return l
}

// Available returns ErrNoLVM when there is no binary to run.
func (l *LVM) Available() error {
	if l.binary == "" {
		return ErrNoLVM
	}
	return nil
}

// SetDevices names the only block devices that LVM may look at from now on. A path that does not exist is as if it were
// not named. A path that CheckDevice refuses fails every later call with ErrName.
func (l *LVM) SetDevices(paths []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.devices = slices.Clone(paths)
}

// Wait returns when no report runs any more whose caller has left; no report may begin meanwhile. Mutating methods return
// only when their command has ended, so that their callers know.
func (l *LVM) Wait() { l.running.Wait() }

// allowed are the devices that may be looked at, without those that nobody must wait for; never modified in place.
func (l *LVM) allowed() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answering()
}

// answering is allowed for who has the mutex.
func (l *LVM) answering() []string {
	if len(l.silent) == 0 {
		return l.devices
	}
	return slices.DeleteFunc(slices.Clone(l.devices), func(d string) bool { return slices.Contains(l.silent, d) })
}

// answers is nil as long as a group's devices answer: nothing is begun that would not end. Errors: ErrSilent.
func (l *LVM) answers(vg string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hung[vg] {
		return fmt.Errorf("a disk of volume group %s %w", vg, ErrSilent)
	}
	return nil
}

// group returns the lock of a volume group, which guards one mutating command and its flush.
func (l *LVM) group(vg string) *sync.Mutex {
	l.mu.Lock()
	defer l.mu.Unlock()
	lock, ok := l.locks[vg]
	if !ok {
		lock = new(sync.Mutex)
		l.locks[vg] = lock
	}
	return lock
}
