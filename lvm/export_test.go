package lvm

// What tests outside the package need: the raw report, for captures, and the settings, for LVM's own opinion of them.

func (l *LVM) RawReport() ([]byte, error) { return l.run(reportArgs()) }

const Settings = settings

func Fsync(device string) error { return fsync(device) }

// OnFlush replaces fsync.
func (l *LVM) OnFlush(flush func(device string) error) { l.flush = flush }
