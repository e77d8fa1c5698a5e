package config

import (
	"context"
	"sync"
	"time"
)

// Watcher follows a configuration file and keeps the last good one. It reads the file again and again instead of asking
// the kernel for events, which a ConfigMap's swapped links, a replaced file and an edited one each need in their own way.
type Watcher struct {
	path string

	// Of the goroutine that polls: what the file had the last two times. A file counts once it was the same twice, so
	// that one half written is not taken for a shorter one.
	seen, settled content

	mu      sync.Mutex // guards what follows
	config  Config
	text    string // what config was parsed from
	problem error
}

// content is what reading the file gave; two that could not be read are alike when they failed alike.
type content struct {
	data   string
	failed string
}

// NewWatcher loads a file for the first time. Its error is that of Load: there is no last good configuration yet.
func NewWatcher(path string) (*Watcher, error) {
	w := &Watcher{path: path}
	c, err := w.read()
	if err != nil {
		return nil, err
	}
	if w.config, err = Parse(path, []byte(c.data)); err != nil {
		return nil, err
	}
	w.seen, w.settled, w.text = c, c, c.data
	return w, nil
}

// Resume follows a file that NewWatcher refused for the problem: with the text of an earlier Watcher in use, or with no pool
// at all where the text is of no use either. Run tells of the file again, as it may have been mended meanwhile.
func Resume(path, text string, problem error) *Watcher {
	w := &Watcher{path: path, problem: problem}
	if c, err := Parse(path, []byte(text)); err == nil {
		w.config, w.text = c, text
	}
	return w
}

// Path is the file.
func (w *Watcher) Path() string { return w.path }

// Config is the last good configuration.
func (w *Watcher) Config() Config {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.config
}

// Text is what the last good configuration was read from.
func (w *Watcher) Text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text
}

// Problem says why what the file has now is not in use; nil when it is.
func (w *Watcher) Problem() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.problem
}

// Run reads the file once every interval until the context ends. Each time that the file has settled on other contents
// it calls changed, before it reads again: with the new configuration, which is then in use; or with the one that stays
// in use and the reason why the new one is not. A file that goes back to what is in use is a change, too.
func (w *Watcher) Run(ctx context.Context, interval time.Duration, changed func(inUse Config, problem error)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if w.poll() {
				changed(w.Config(), w.Problem())
			}
		}
	}
}

// poll reads the file once, and says whether it settled on something new.
func (w *Watcher) poll() bool {
	now, err := w.read()
	before := w.seen
	w.seen = now
	if now != before || now == w.settled {
		return false
	}
	w.settled = now
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		var next Config
		if next, err = w.accept([]byte(now.data)); err == nil {
			w.config, w.text = next, now.data
		}
	}
	w.problem = err
	return true
}

// accept parses what may follow the configuration in use.
func (w *Watcher) accept(data []byte) (Config, error) {
	next, err := Parse(w.path, data)
	if err != nil {
		return Config{}, err
	}
	_, err = Changes(w.config, next)
	return next, err
}

func (w *Watcher) read() (content, error) {
	data, err := read(w.path)
	if err != nil {
		return content{failed: err.Error()}, err
	}
	return content{data: string(data)}, nil
}
