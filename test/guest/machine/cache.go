package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

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

// lock keeps two guests that start at the same time from making the same thing: flock(2) on a file in the cache.
func (o *Options) lock(name string) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(o.Cache, name+".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return func() { _ = file.Close() }, nil
}
