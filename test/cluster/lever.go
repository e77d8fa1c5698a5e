package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"
)

// leverSocket is where tests ask for what a cluster's own API cannot do, with LOAM_CLUSTER's folder around it: POST
// /nodes/NAME/reboot, /apiserver/stop, /apiserver/start.
const leverSocket = "lever.sock"

// serveLevers serves until the context ends.
func (c *cluster) serveLevers(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", filepath.Join(c.dir, leverSocket))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /nodes/{name}/reboot", answer(func(r *http.Request) error { return c.reboot(r.PathValue("name")) }))
	mux.HandleFunc("POST /apiserver/stop", answer(func(*http.Request) error { c.control.stop("kube-apiserver"); return nil }))
	mux.HandleFunc("POST /apiserver/start", answer(func(r *http.Request) error {
		return errors.Join(c.control.start("kube-apiserver"), c.control.ready(r.Context()))
	}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	go func() { _ = server.Serve(l) }()
	return nil
}

func answer(do func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := do(r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}

// reboot cuts a node's power and starts it again.
func (c *cluster) reboot(name string) error {
	for _, m := range c.machines {
		if m.name == name {
			m.kill()
			return m.boot()
		}
	}
	return fmt.Errorf("there is no node %s", name)
}
