package filesystem

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Options are mount options that were allowed. The zero value is the defaults.
type Options struct {
	flags uintptr
	data  []string // for the file system itself
}

// genericOptions are options of every file system, by their flag (mount(2)); those with 0 are what is so anyway.
var genericOptions = map[string]uintptr{
	"defaults": 0, "rw": 0, "nosuid": 0, "nodev": 0, "exec": 0, "async": 0, "atime": 0,
	"ro": unix.MS_RDONLY, "noexec": unix.MS_NOEXEC, "sync": unix.MS_SYNCHRONOUS, "dirsync": unix.MS_DIRSYNC,
	"noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME,
	"strictatime": unix.MS_STRICTATIME, "lazytime": unix.MS_LAZYTIME,
}

// ownOptions are options of one file system (ext4(5), xfs(5)). Those that trade data for speed (nobarrier, noauto_da_alloc),
// show what was on the blocks before (data=writeback), go on after errors or stop the node (errors=continue, errors=panic),
// or name other devices are not among them.
var ownOptions = map[Type]*regexp.Regexp{
	Ext4: regexp.MustCompile(`^(discard|nodiscard|delalloc|nodelalloc|auto_da_alloc|init_itable(=[0-9]{1,3})?|noinit_itable|` +
		`data=(ordered|journal)|commit=[0-9]{1,3}|stripe=[0-9]{1,6}|errors=remount-ro|(usr|grp|prj)quota)$`),
	XFS: regexp.MustCompile(`^(discard|nodiscard|inode64|largeio|nolargeio|swalloc|filestreams|nouuid|logbufs=[2-8]|logbsize=(16|32|64|128|256)k|` +
		`allocsize=(4|8|16|32|64|128|256|512)k|allocsize=(1|2|4|8|16|32|64|128|256|512)m|allocsize=1g|(usr|grp|prj|u|g|p)quota)$`),
}

// ParseOptions accepts the mount options that a volume may be mounted with. Errors: ErrOption, naming the option.
func ParseOptions(t Type, options []string) (Options, error) {
	var o Options
	for _, option := range options {
		flag, generic := genericOptions[option]
		switch {
		case generic:
			o.flags |= flag
		case ownOptions[t] == nil || !ownOptions[t].MatchString(option):
			return Options{}, fmt.Errorf("%w: %.80q; %s volumes may have %s, or some of its own (see the reference)",
				ErrOption, option, t, strings.Join(slices.Sorted(maps.Keys(genericOptions)), ", "))
		default:
			if err := o.add(option); err != nil {
				return Options{}, err
			}
		}
	}
	return o, nil
}

// add adds an option of the file system's own. The kernel takes the last of two that contradict each other, and no more
// than a page of all of them.
func (o *Options) add(option string) error {
	key := optionKey(option)
	for _, before := range o.data {
		if before == option {
			return nil
		}
		if optionKey(before) == key {
			return fmt.Errorf("%w: %q contradicts %q", ErrOption, option, before)
		}
	}
	o.data = append(o.data, option)
	return nil
}

// optionKey is what an option is about: commit=5 and commit=30 are about one thing, and so are discard and nodiscard.
func optionKey(option string) string {
	name, _, _ := strings.Cut(option, "=")
	return strings.TrimPrefix(name, "no")
}

// mountFlags are those of a staging mount: never set-user-ID programs, never device nodes.
func (r StageRequest) mountFlags() uintptr {
	flags := r.Options.flags | unix.MS_NOSUID | unix.MS_NODEV
	if r.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	return flags
}

// mountData are the file system's own options, with what is ours to choose unless the user did. An xfs clone has its
// origin's UUID and mounts beside it only with nouuid. On a thin volume ext4's inode tables read as zeroes already, and
// writing zeroes to them in the background would allocate them: 160 MiB of 10 GiB, measured.
func (r StageRequest) mountData() string {
	data := slices.Clone(r.Options.data)
	unlessSet := func(option string) {
		if !slices.ContainsFunc(data, func(o string) bool { return optionKey(o) == optionKey(option) }) {
			data = append(data, option)
		}
	}
	switch {
	case r.Type == XFS:
		unlessSet("nouuid")
	case r.Thin:
		unlessSet("errors=remount-ro")
		unlessSet(noTables)
	default:
		unlessSet("errors=remount-ro")
	}
	return strings.Join(data, ",")
}
