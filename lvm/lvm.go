package lvm

import (
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

	configuring sync.Mutex // guards the writing of lvm.conf, and
	configured  bool       // whether it is written

	mu       sync.Mutex // guards what follows
	devices  []string
	locks    map[string]*sync.Mutex // by volume group
	members  map[string][]string    // devices of each volume group, as far as known
	changes  int                    // how often members changed by something else than a report
	reports  flights
	backedUp map[string]int64 // the change of each volume group that BackupDir has
}

// New finds the binary and starts nothing. Until SetDevices, LVM may look at no device. See Available for whether LVM
// can be used at all.
func New(o Options) *LVM {
	return &LVM{
		options: o, binary: findBinary(o.Binary), flush: fsync,
		locks: map[string]*sync.Mutex{}, members: map[string][]string{}, backedUp: map[string]int64{},
	}
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

func (l *LVM) allowed() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.devices // never modified in place
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
