package node

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/loam-storage/loam/node/config"
)

// keptConfig is where the last good configuration is kept over restarts.
func (o Options) keptConfig() string { return filepath.Join(o.StateDir, "last-good-config.yaml") }

// watch loads the configuration. In Kubernetes a mistake in it does not keep the agent from starting, as pods that use
// volumes of this node must be able to: the last good one of an earlier agent is used, or none.
func (o Options) watch() (*config.Watcher, error) {
	w, problem := config.NewWatcher(o.ConfigPath)
	if problem == nil {
		return w, o.keep(w.Text())
	}
	if !o.Kubernetes {
		return nil, problem
	}
	text, err := os.ReadFile(o.keptConfig())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	o.Log.Error("the configuration is not used, the last good one is", "error", problem, "from", o.keptConfig(), "found", err == nil)
	return config.Resume(o.ConfigPath, string(text), problem), nil
}

// keep keeps a configuration for the next start, whole or not at all.
func (o Options) keep(text string) error {
	scratch := o.keptConfig() + ".new"
	f, err := os.OpenFile(scratch, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(scratch, o.keptConfig())
}
