package lvm

import "fmt"

// maxStripes is LVM's limit (lvcreate(8), --stripes).
const maxStripes = 128

// Check returns ErrName or ErrSize for a request that must not reach LVM. The methods of LVM call it themselves.
func (r CreateGroup) Check() error {
	if err := CheckGroup(r.Name); err != nil {
		return err
	}
	if len(r.Devices) == 0 {
		return fmt.Errorf("volume group %s: %w: no device to make it of", r.Name, ErrName)
	}
	if err := checkDevices(r.Devices); err != nil {
		return err
	}
	if err := checkOptionalSize("extent or metadata size", r.ExtentSize, r.MetadataSize); err != nil {
		return err
	}
	return checkTags(r.Tags)
}

// Check returns ErrName or ErrSize for a request that must not reach LVM.
func (r CreatePool) Check() error {
	if err := checkPool(r.VG, r.Name); err != nil {
		return err
	}
	if err := checkSize("thin pool", r.Size); err != nil {
		return err
	}
	if err := checkOptionalSize("metadata or chunk size", r.MetadataSize, r.ChunkSize); err != nil {
		return err
	}
	if err := checkStripes(r.Stripes); err != nil {
		return err
	}
	return checkTags(r.Tags)
}

// Check returns ErrName or ErrSize for a request that must not reach LVM.
func (r CreateThin) Check() error {
	if err := checkVolumes(r.VG, []string{r.Pool, r.Name}); err != nil {
		return err
	}
	if err := checkSize("thin volume", r.Size); err != nil {
		return err
	}
	return checkTags(r.Tags)
}

// Check returns ErrName or ErrSize for a request that must not reach LVM.
func (r CreateThick) Check() error {
	if err := CheckVolume(r.VG, r.Name); err != nil {
		return err
	}
	if err := checkSize("thick volume", r.Size); err != nil {
		return err
	}
	if err := checkStripes(r.Stripes); err != nil {
		return err
	}
	return checkTags(r.Tags)
}

// Check returns ErrName for a request that must not reach LVM.
func (r CreateSnapshot) Check() error {
	if err := checkVolumes(r.VG, []string{r.Origin, r.Name}); err != nil {
		return err
	}
	if r.Pool != "" {
		if err := CheckVolume(r.VG, r.Pool); err != nil {
			return err
		}
	}
	return checkTags(r.Tags)
}

// Check returns ErrName or ErrSize for a request that must not reach LVM.
func (r ExtendPool) Check() error {
	if err := CheckVolume(r.VG, r.Name); err != nil {
		return err
	}
	if r.Size == 0 && r.MetadataSize == 0 {
		return fmt.Errorf("thin pool %s: %w: neither a new size nor a new metadata size", r.Name, ErrSize)
	}
	return checkOptionalSize("thin pool", r.Size, r.MetadataSize)
}

// Check returns ErrName for a request that must not reach LVM.
func (r ChangeTags) Check() error {
	if err := CheckGroup(r.VG); err != nil {
		return err
	}
	if err := checkVolumes(r.VG, r.Names); err != nil {
		return err
	}
	if err := checkTags(r.Add); err != nil {
		return err
	}
	return checkTags(r.Remove)
}

func checkStripes(n int) error {
	if n < 0 || n > maxStripes {
		return fmt.Errorf("%d stripes: %w: must be 0 to %d", n, ErrSize, maxStripes)
	}
	return nil
}
