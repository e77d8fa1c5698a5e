package filesystem

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/loam-storage/loam/node/tool"
)

// ErrOption says that an option of mkfs or of mount is not one that may be given.
var ErrOption = errors.New("option not allowed")

// MakeRequest asks for a file system.
type MakeRequest struct {
	Device  string
	Type    Type
	UUID    string
	Options []string // as ParseMakeOptions allows
}

// ErrLost says that a device took what mkfs wrote without an error, and does not have it.
var ErrLost = errors.New("the device lost what mkfs wrote")

// Make formats a device that is not in use, whatever is on it, flushes it, and reads back the superblock, past all caches of
// this machine: it is what mkfs writes last. It may be repeated on what an ended mkfs left. The context kills mkfs; one that
// does not end is kinder. Errors: ErrOption, ErrLost, *tool.Error, or the kernel's.
func Make(ctx context.Context, r MakeRequest) error {
	if err := ParseMakeOptions(r.Type, r.Options); err != nil {
		return err
	}
	if _, err := tool.Run(ctx, "mkfs."+string(r.Type), makeArgs(r)...); err != nil {
		return err
	}
	if err := flush(r.Device); err != nil {
		return err
	}
	s, err := readSuperblock(r.Device)
	if err == nil && !s.isFinished(r.Type, r.UUID) {
		err = fmt.Errorf("%s: %w", r.Device, ErrLost)
	}
	return err
}

// makeArgs chooses what writes little: nothing is discarded that was never written, and ext4's inode tables and journal are
// not zeroed. On a thin volume of 10 GiB that allocates 5 MiB instead of 69, of 1 TiB 47 instead of 1071, measured; xfs
// always zeroes its log (65 and 514 MiB). What was on a thick volume before cannot pass for inodes, which are marked
// uninitialised, nor for a journal, whose checksums begin with the UUID (kernel, fs/jbd2/recovery.c, "lazy journal init").
//
// Blocks of 4 KiB also for a small ext4, since it may grow a thousandfold. packed_meta_blocks would save another 30 MiB of
// 1 TiB at the price of groups that the kernel is not used to growing, and sparse_super2 forbids growing online
// (kernel, fs/ext4/resize.c).
func makeArgs(r MakeRequest) []string {
	var args []string
	if r.Type == XFS {
		args = append(args, "-q", "-f", "-K", "-m", "uuid="+r.UUID)
	} else {
		args = append(args, "-q", "-F", "-U", r.UUID, "-b", "4096", "-m", "0", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1")
	}
	return append(append(args, r.Options...), "--", r.Device)
}

// makeOptions are the options that a StorageClass may give to mkfs, by flag, with what their value must be. Those that
// would name files, change what is recognised by, or cost data safety are not among them.
var makeOptions = map[Type]map[string]*regexp.Regexp{
	Ext4: {
		"-i": regexp.MustCompile(`^[0-9]{4,8}$`),                                                                             // bytes per inode
		"-I": regexp.MustCompile(`^(256|512|1024)$`),                                                                         // inode size
		"-N": regexp.MustCompile(`^[0-9]{1,10}$`),                                                                            // number of inodes
		"-m": regexp.MustCompile(`^[0-9]{1,2}$`),                                                                             // percent reserved
		"-O": regexp.MustCompile(`^(quota|project|large_dir|verity|casefold)(,(quota|project|large_dir|verity|casefold))*$`), // features
	},
	XFS: {
		"-i": regexp.MustCompile(`^(size=(512|1024|2048)|maxpct=[0-9]{1,2}|sparse=[01])$`),
		"-m": regexp.MustCompile(`^(reflink|rmapbt|bigtime|finobt)=[01]$`),
		"-n": regexp.MustCompile(`^size=(4096|8192|16384|32768|65536)$`),
		"-l": regexp.MustCompile(`^size=[0-9]{1,5}m$`),
		"-d": regexp.MustCompile(`^(su=[0-9]{1,6}k?,sw=[0-9]{1,3}|agcount=[0-9]{1,5})$`),
	},
}

// ParseMakeOptions accepts pairs of a flag and its value that mkfs may be given. Errors: ErrOption, naming the option.
func ParseMakeOptions(t Type, options []string) error {
	for i := 0; i < len(options); i += 2 {
		value, allowed := makeOptions[t][options[i]]
		if !allowed {
			return fmt.Errorf("%w: %.40q for mkfs.%s", ErrOption, options[i], t)
		}
		if i+1 == len(options) || !value.MatchString(options[i+1]) {
			return fmt.Errorf("%w: %.80q for mkfs.%s: the value must match %s", ErrOption, strings.Join(options[i:min(i+2, len(options))], " "), t, value)
		}
	}
	return nil
}
