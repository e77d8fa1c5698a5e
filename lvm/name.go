package lvm

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Bounds of device-mapper and LVM. A device's name is <vg>-<lv> with every dash inside a part doubled, and DM_NAME_LEN
// counts the closing NUL; LVM itself refuses a full name whose parts have more than 124 characters together.
const (
	maxDeviceName = 127
	maxFullName   = 124
	maxTag        = 1024
	// layers is what LVM appends for the parts of a thin pool: "-tpool", "_tdata", "_tmeta".
	layers = len("-tpool")
)

// What lvm(8), "Valid names", keeps for LVM itself, and what lvm2 2.03.16 refuses besides.
var (
	reservedPrefixes = []string{"snapshot", "pvmove"}
	reservedInfixes  = []string{
		"_cdata", "_cmeta", "_corig", "_cpool", "_cvol", "_imeta", "_iorig", "_mimage", "_mlog", "_pmspare",
		"_rimage", "_rmeta", "_tdata", "_tmeta", "_vdata", "_vorigin", "_wcorig",
	}
)

// CheckGroup returns ErrName unless a volume group may have that name (lvm(8), "Valid names").
func CheckGroup(name string) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("volume group %.140q: %w", name, err)
	}
	return nil
}

// CheckVolume returns ErrName unless a logical volume of that group may have that name. A thin pool's must be shorter, for
// the names of its parts: see CreatePool.Check.
func CheckVolume(vg, lv string) error {
	if err := CheckGroup(vg); err != nil {
		return err
	}
	if err := checkVolume(vg, lv); err != nil {
		return fmt.Errorf("logical volume %.140q: %w", lv, err)
	}
	return nil
}

func checkVolume(vg, lv string) error {
	if err := checkName(lv); err != nil {
		return err
	}
	for _, p := range reservedPrefixes {
		if strings.HasPrefix(lv, p) {
			return fmt.Errorf("%w: LVM reserves names that begin with %q", ErrName, p)
		}
	}
	for _, s := range reservedInfixes {
		if strings.Contains(lv, s) {
			return fmt.Errorf("%w: LVM reserves names that contain %q", ErrName, s)
		}
	}
	if len(vg)+len(lv) > maxFullName {
		return fmt.Errorf("%w: longer than %d characters with its group's name", ErrName, maxFullName)
	}
	if n := len(deviceName(vg, lv)); n > maxDeviceName {
		return fmt.Errorf("%w: its device's name would have %d characters of at most %d, as dashes count twice", ErrName, n, maxDeviceName)
	}
	return nil
}

// checkPool is CheckVolume with room for the names of a thin pool's parts.
func checkPool(vg, lv string) error {
	if err := CheckVolume(vg, lv); err != nil {
		return err
	}
	if len(vg)+len(lv)+layers > maxFullName || len(deviceName(vg, lv))+layers > maxDeviceName {
		return fmt.Errorf("thin pool %.140q: %w: too long for the names of its parts", lv, ErrName)
	}
	return nil
}

func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: empty", ErrName)
	case len(name) > maxDeviceName:
		return fmt.Errorf("%w: longer than %d characters", ErrName, maxDeviceName)
	case name[0] == '-':
		return fmt.Errorf("%w: begins with a dash", ErrName)
	case name == "." || name == "..":
		return ErrName
	case strings.ContainsFunc(name, func(r rune) bool { return !letterOrDigit(r) && !strings.ContainsRune("+_.-", r) }):
		return fmt.Errorf("%w: may hold only letters, digits and + _ . -", ErrName)
	}
	return nil
}

// CheckTag returns ErrName unless LVM takes that tag (lvm(8), "Tags").
func CheckTag(tag string) error {
	switch {
	case tag == "" || len(tag) > maxTag:
		return fmt.Errorf("tag %.40q: %w: must have 1 to %d characters", tag, ErrName, maxTag)
	case tag[0] == '-':
		return fmt.Errorf("tag %.140q: %w: begins with a dash", tag, ErrName)
	case strings.ContainsFunc(tag, func(r rune) bool { return !letterOrDigit(r) && !strings.ContainsRune("_+.-/=!:&#", r) }):
		return fmt.Errorf("tag %.140q: %w: may hold only letters, digits and _ + . - / = ! : & #", tag, ErrName)
	}
	return nil
}

// CheckDevice returns ErrName unless that is a path of a device that may be handed to LVM: beneath /dev, in its shortest
// form, printable, and free of what separates paths in --devices.
func CheckDevice(device string) error {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`,"'`, r) }
	if !strings.HasPrefix(device, "/dev/") || path.Clean(device) != device || len(device) > 1024 || strings.ContainsFunc(device, odd) {
		return fmt.Errorf("device %.140q: %w: not a plain path beneath /dev", device, ErrName)
	}
	return nil
}

func checkTags(tags []string) error {
	for _, t := range tags {
		if err := CheckTag(t); err != nil {
			return err
		}
	}
	return nil
}

func checkDevices(devices []string) error {
	for _, d := range devices {
		if err := CheckDevice(d); err != nil {
			return err
		}
	}
	return nil
}

func checkVolumes(vg string, lvs []string) error {
	for _, lv := range lvs {
		if err := CheckVolume(vg, lv); err != nil {
			return err
		}
	}
	return nil
}

// checkSize is for sizes that must be given: LVM's own limit is 8 EiB less one.
func checkSize(what string, sizes ...Bytes) error {
	if slices.ContainsFunc(sizes, func(b Bytes) bool { return b <= 0 }) {
		return fmt.Errorf("%s: %w: must be positive", what, ErrSize)
	}
	return checkOptionalSize(what, sizes...)
}

func checkOptionalSize(what string, sizes ...Bytes) error {
	if slices.ContainsFunc(sizes, func(b Bytes) bool { return b < 0 || b > largest }) {
		return fmt.Errorf("%s: %w: must be 0 to %v", what, ErrSize, largest)
	}
	return nil
}

// largest keeps sums and roundings of sizes inside an int64.
const largest = 4096 * PiB

func letterOrDigit(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// deviceName is the name that LVM gives to the device-mapper device of a logical volume.
func deviceName(vg, lv string) string {
	return strings.ReplaceAll(vg, "-", "--") + "-" + strings.ReplaceAll(lv, "-", "--")
}
