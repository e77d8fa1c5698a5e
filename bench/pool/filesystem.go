package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/filesystem"
	"golang.org/x/sys/unix"
)

// openFileSystem makes a file system as CreateVolume does, and a file on it. One that this machine cannot make or mount is a layer that
// is not measured.
func (s *site) openFileSystem(t filesystem.Type, layer string) func(context.Context, choice, map[string]*bench.Place) error {
	return func(ctx context.Context, c choice, places map[string]*bench.Place) error {
		d, err := s.thin(string(t), fileSystemNeed(t, s.Profile.Size.RoundUp(s.group.ExtentSize)))
		if err != nil {
			return err
		}
		s.release(prefix + string(t)) // mkfs and the mount want it for themselves
		folder, err := s.mount(ctx, t, d)
		if err != nil {
			c.skipped[layer] = err.Error()
			return ctx.Err()
		}
		place, err := bench.Open(ctx, bench.Wanted{Path: folder, Size: s.Profile.Size})
		if errors.Is(err, bench.ErrUnfit) {
			c.skipped[layer] = err.Error()
			return nil
		}
		if err != nil {
			return err
		}
		s.closers = append(s.closers, place.Close)
		place.Device = s.disk
		places[layer] = place
		return nil
	}
}

// mount makes and mounts a file system, and returns a path to it. It is mounted nowhere: taken out of the tree at once, it lasts as
// long as its root is open, so that nobody finds it and nothing stays when this process is killed.
func (s *site) mount(ctx context.Context, t filesystem.Type, d lvm.Device) (path string, err error) {
	if err := filesystem.Make(ctx, filesystem.MakeRequest{Device: d.Path, Type: t, UUID: filesystem.UUID(prefix + string(t))}); err != nil {
		return "", err
	}
	root, err := os.MkdirTemp("", prefix)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	target := filepath.Join(root, string(t))
	if err := os.Mkdir(target, 0o700); err != nil {
		return "", err
	}
	if err := (filesystem.Mounter{Root: root}).Stage(filesystem.StageRequest{Device: d.Path, Target: target, Type: t, Thin: true}); err != nil {
		return "", err
	}
	fd, err := unix.Open(target, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if detached := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err == nil {
		err = detached
	}
	if err != nil {
		return "", fmt.Errorf("mounting %s: %w", d.Path, err)
	}
	s.closers = append(s.closers, func() error { return unix.Close(fd) })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), nil
}
