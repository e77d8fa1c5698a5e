package csi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/signature"
)

// format makes the file system of a volume that nobody has yet. A finished one is recognised by its UUID; anything
// else on the volume is only overwritten when it is known to be an interrupted mkfs of ours.
func (d *Driver) format(ctx context.Context, v live, options []string) error {
	if v.Record.FS == "" || v.Record.Source != "" {
		return d.Intents.Done(v.LV.Name)
	}
	device, kind := v.device.Path, filesystem.Type(v.Record.FS)
	uuid := filesystem.UUID(d.Node + "/" + v.LV.Name)
	made, err := filesystem.Made(device, kind, uuid)
	if err != nil {
		return err
	}
	if made && !d.doubtful(ctx, v) {
		return d.Intents.Done(v.LV.Name)
	}
	if err := d.mayFormat(ctx, v); err != nil {
		return err
	}
	if err := filesystem.Make(ctx, filesystem.MakeRequest{Device: device, Type: kind, UUID: uuid, Options: options}); err != nil {
		return err
	}
	return d.Intents.Done(v.LV.Name)
}

// doubtful says whether a file system that looks finished is not: a power cut may keep mkfs.xfs's superblock, which it
// flushes together with all else, and lose the rest. Only one that nobody has had yet is looked at.
func (d *Driver) doubtful(ctx context.Context, v live) bool {
	begun, err := d.Intents.Begun(v.LV.Name)
	return err == nil && begun && filesystem.Check(ctx, v.device.Path, filesystem.Type(v.Record.FS)) != nil
}

func (d *Driver) mayFormat(ctx context.Context, v live) error {
	if zero, err := signature.Zero(v.device.Path); err != nil || zero {
		return err
	}
	found, err := signature.Read(ctx, v.device.Path)
	if err != nil {
		return err
	}
	if found.Blank {
		return nil
	}
	begun, err := d.Intents.Begun(v.LV.Name)
	if err != nil {
		return err
	}
	if !begun {
		return refuse(codes.FailedPrecondition, "volume %s already holds data (%v) and was not formatted", v.LV.Name, found)
	}
	return nil
}

// Intents are marks, one file each, that a volume's file system is being made: written before the logical volume is,
// removed once the file system is finished. LVM could hold them in a tag, at the price of a third command for every
// volume. Losing the folder is safe: what is not blank is then not formatted.
type Intents struct{ Dir string }

// Begin writes the mark, durably.
func (i Intents) Begin(lv string) error {
	if err := os.MkdirAll(i.Dir, 0o700); err != nil {
		return fmt.Errorf("marking %s: %w", lv, err)
	}
	f, err := os.OpenFile(i.path(lv), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("marking %s: %w", lv, err)
	}
	err = errors.Join(f.Sync(), f.Close(), syncDir(i.Dir))
	if err != nil {
		return fmt.Errorf("marking %s: %w", lv, err)
	}
	return nil
}

// Begun says whether there is a mark.
func (i Intents) Begun(lv string) (bool, error) {
	_, err := os.Lstat(i.path(lv))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Done removes the mark, durably: it must not come back when the volume has an owner.
func (i Intents) Done(lv string) error {
	err := os.Remove(i.path(lv))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(i.Dir)
	}
	if err != nil {
		return fmt.Errorf("removing the mark of %s: %w", lv, err)
	}
	return nil
}

func (i Intents) path(lv string) string { return filepath.Join(i.Dir, lv) }

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
