package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cacheFolder is .cache/guest beside the go.mod of the module that contains dir, or, when there is none to write to, a
// folder of the user's cache directory.
func cacheFolder(dir string) (string, error) {
	for parent := dir; ; parent = filepath.Dir(parent) {
		if _, err := os.Stat(filepath.Join(parent, "go.mod")); err == nil {
			cache := filepath.Join(parent, ".cache", "guest")
			if os.MkdirAll(cache, 0o755) == nil && unix.Access(cache, unix.W_OK) == nil {
				return cache, nil
			}
			break
		}
		if parent == filepath.Dir(parent) {
			break
		}
	}
	users, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory: %w", err)
	}
	cache := filepath.Join(users, "loam-guest")
	return cache, os.MkdirAll(cache, 0o755)
}

// cache gives the folder for what is costly to make again.
func (o *Options) cache() (string, error) {
	if o.Cache != "" {
		return o.Cache, nil
	}
	return cacheFolder(o.Dir)
}

// lock keeps two guests that start at the same time from making the same thing: flock(2) on a file in the cache. It is
// tried again and again, because one that waits in the kernel would not see that the context ends.
func (o *Options) lock(ctx context.Context, name string) (unlock func(), err error) {
	folder, err := o.cache()
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(folder, name+".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			_ = file.Close()
			return nil, context.Cause(ctx)
		}
	}
}
