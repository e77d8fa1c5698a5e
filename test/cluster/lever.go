package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// leverSocket is where tests and people ask for what a cluster's own API cannot do, with LOAM_CLUSTER's folder around it: POST
// /nodes/NAME/reboot, /nodes/NAME/off, /nodes/NAME/on, /nodes/NAME/restart-kubelet, /apiserver/stop, /apiserver/start, /extender/stop,
// /extender/start, /down.
// It is done when the answer comes; but a node that was started is not Ready yet, and /down does not wait.
const leverSocket = "lever.sock"

// serveLevers serves until the context ends.
func (c *cluster) serveLevers(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", filepath.Join(c.dir, leverSocket))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: c.levers(ctx), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { // whoever asked gets an answer, but not at any price
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		defer cancel()
		if server.Shutdown(bound) != nil {
			server.Close()
		}
	})
	go func() { _ = server.Serve(l) }()
	return nil
}

// levers move one at a time, and no more once the context has ended, when all is being ended.
func (c *cluster) levers(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	lever := func(pattern string, do func(r *http.Request) error) {
		mux.HandleFunc("POST "+pattern, func(w http.ResponseWriter, r *http.Request) {
			c.power.Lock()
			defer c.power.Unlock()
			err := ctx.Err()
			if err == nil {
				err = do(r)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	node := func(action string, do func(m *machine, ctx context.Context) error) {
		lever("/nodes/{name}/"+action, func(r *http.Request) error {
			m, err := c.machine(r.PathValue("name"))
			if err != nil {
				return err
			}
			return do(m, r.Context())
		})
	}
	node("off", func(m *machine, _ context.Context) error { m.kill(); return nil })
	node("on", func(m *machine, _ context.Context) error { return m.on() })
	node("reboot", func(m *machine, _ context.Context) error { m.kill(); return m.boot() })
	node("restart-kubelet", (*machine).restartKubelet)
	lever("/apiserver/stop", func(*http.Request) error { c.control.stop("kube-apiserver"); return nil })
	lever("/apiserver/start", func(r *http.Request) error {
		if _, runs := c.control.parts["kube-apiserver"]; runs {
			return errors.New("kube-apiserver runs")
		}
		return errors.Join(c.control.start("kube-apiserver"), c.control.ready(r.Context()))
	})
	lever("/extender/stop", func(*http.Request) error { c.control.stop(extenderPart); return nil })
	lever("/extender/start", func(*http.Request) error {
		if _, runs := c.control.parts[extenderPart]; runs {
			return errors.New("the extender runs")
		}
		return c.control.start(extenderPart)
	})
	lever("/down", func(*http.Request) error { c.end(); return nil })
	return mux
}

func (c *cluster) machine(name string) (*machine, error) {
	for _, m := range c.machines {
		if m.name == name {
			return m, nil
		}
	}
	return nil, fmt.Errorf("there is no node %s", name)
}

// on boots a node that is off.
func (m *machine) on() error {
	select {
	case <-m.done:
		return m.boot()
	default:
		return fmt.Errorf("node %s is on", m.name)
	}
}

// restartKubelet waits until the node's old kubelet has ended, which takes a second.
func (m *machine) restartKubelet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	file := filepath.Join(m.share(), restartFile)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("node %s does not restart its kubelet: %w", m.name, ctx.Err())
		case <-m.done:
			return fmt.Errorf("node %s is off", m.name)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
