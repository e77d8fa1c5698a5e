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

// ownOptions are options of one file system. Those that trade data for speed (nobarrier), stop the node (errors=panic),
// or point at other devices are not among them.
var ownOptions = map[Type]*regexp.Regexp{
	Ext4: regexp.MustCompile(`^(discard|nodiscard|delalloc|nodelalloc|auto_da_alloc|noauto_da_alloc|init_itable|noinit_itable|` +
		`data=(ordered|journal)|commit=[0-9]{1,3}|stripe=[0-9]{1,6}|errors=(remount-ro|continue)|(usr|grp|prj)quota)$`),
	XFS: regexp.MustCompile(`^(discard|nodiscard|inode64|largeio|nolargeio|swalloc|filestreams|logbufs=[2-8]|logbsize=[0-9]{1,6}k?|` +
		`allocsize=[0-9]{1,10}[km]?|(usr|grp|prj|u|g|p)quota)$`),
}

// ParseOptions accepts the mount options that a volume may be mounted with. Errors: ErrOption, naming the option.
func ParseOptions(t Type, options []string) (Options, error) {
	var o Options
	for _, option := range options {
		flag, generic := genericOptions[option]
		switch {
		case generic:
			o.flags |= flag
		case ownOptions[t] != nil && ownOptions[t].MatchString(option):
			o.data = append(o.data, option)
		default:
			return Options{}, fmt.Errorf("%w: %.80q; a %s volume may have %s, or some of its own (see the reference)",
				ErrOption, option, t, strings.Join(slices.Sorted(maps.Keys(genericOptions)), ", "))
		}
	}
	return o, nil
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
// writing zeroes to them in the background would allocate them.
func (r StageRequest) mountData() string {
	data := slices.Clone(r.Options.data)
	has := func(prefix string) bool {
		return slices.ContainsFunc(data, func(o string) bool { return strings.HasPrefix(o, prefix) })
	}
	switch {
	case r.Type == XFS:
		data = append(data, "nouuid")
	case r.Type == Ext4 && !has("errors="):
		data = append(data, "errors=remount-ro")
	}
	if r.Type == Ext4 && r.Thin && !has("init_itable") && !has("noinit_itable") {
		data = append(data, "noinit_itable")
	}
	return strings.Join(data, ",")
}
