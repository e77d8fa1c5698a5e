package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A cluster in the background is a process of its own that runs no command. Of it, the cache has a file that names its
// folder, the administrator's kubeconfig, and a folder with kubectl.
const (
	runningFile    = "running"
	kubeconfigFile = "kubeconfig"
	toolsFolder    = "bin"
)

// downBound is how long a cluster may take to end: a guest has 10 s, a component 5 s.
const downBound = time.Minute

// upInBackground starts a cluster that stays, and says what to do with it.
func upInBackground(ctx context.Context, args []string) error {
	root, cache, err := places()
	if err != nil {
		return err
	}
	if dir, err := running(cache); dir != "" || err != nil {
		return errors.Join(err, fmt.Errorf("a cluster is up already, in %s; `bin/cluster down` ends it", dir))
	}
	if err := startHolder(ctx, args); err != nil {
		return err
	}
	dir, err := running(cache)
	if err != nil || dir == "" {
		return errors.Join(err, errors.New("it did not come up"))
	}
	fmt.Printf(nextCommands, filepath.Join(cache, kubeconfigFile), filepath.Join(cache, toolsFolder), filepath.Join(root, "bin", "cluster"), dir)
	return nil
}

const nextCommands = `
A Kubernetes with Loam is up. Next:

  export KUBECONFIG=%[1]s PATH=%[2]s:$PATH
  kubectl get nodes,pods --all-namespaces
  kubectl apply -f deploy/examples/statefulset.yaml
  kubectl get pods,pvc --watch
  %[3]s node reboot k1        # also: node off, node on, node restart-kubelet, apiserver stop, apiserver start
  %[3]s down

Logs, also the nodes' consoles, are in %[4]s
`

// startHolder starts this program with `hold` in a session of its own, and shows what it says until it has come up or ended.
func startHolder(ctx context.Context, args []string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	said, saying, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	cmd := exec.Command(program, append([]string{"hold"}, args...)...)
	cmd.Stderr = saying
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	err = cmd.Start()
	saying.Close()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(unix.SIGTERM) })()
	_, err = io.Copy(os.Stderr, said)
	return errors.Join(err, ctx.Err())
}

// hold is a cluster until it is told to end.
func hold(ctx context.Context, args []string) (err error) {
	o, err := parse(append(args, "--", "nothing"))
	if err != nil {
		return err
	}
	c, ctx, err := up(ctx, o)
	if err != nil {
		return err
	}
	defer c.down()
	if err := c.serveLevers(ctx); err != nil {
		return err
	}
	defer forget(c.cache)
	if err := c.remember(); err != nil {
		return err
	}
	if err := c.detach(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// remember leaves in the cache what people need.
func (c *cluster) remember() error {
	config, err := os.ReadFile(c.kubeconfig)
	if err != nil {
		return err
	}
	if err := c.tools(filepath.Join(c.cache, toolsFolder)); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(c.cache, kubeconfigFile), config, 0o600),
		os.WriteFile(filepath.Join(c.cache, runningFile), []byte(c.dir), 0o600))
}

func forget(cache string) {
	for _, name := range []string{runningFile, kubeconfigFile} {
		_ = os.Remove(filepath.Join(cache, name))
	}
}

// detach lets go of the terminal. What is said from then on is in a log.
func (c *cluster) detach() error {
	log, err := os.Create(filepath.Join(c.dir, "cluster.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	return errors.Join(unix.Dup3(int(log.Fd()), 1, 0), unix.Dup3(int(log.Fd()), 2, 0))
}

// running is the folder of the cluster in the background, or empty. Of one that was killed, it removes what is left.
func running(cache string) (string, error) {
	dir, err := os.ReadFile(filepath.Join(cache, runningFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	alive, err := isAlive(string(dir))
	if alive || err != nil {
		return string(dir), err
	}
	forget(cache)
	return "", sweep(os.TempDir())
}

// downInBackground ends the cluster in the background and waits until nothing of it is left.
func downInBackground(ctx context.Context) error {
	_, cache, err := places()
	if err != nil {
		return err
	}
	dir, err := running(cache)
	if err != nil {
		return err
	}
	if dir == "" {
		say("none is up")
		return nil
	}
	lock, err := os.Open(filepath.Join(dir, lockFile)) // opened before it is removed
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := pull(ctx, dir, "/down"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, downBound)
	defer cancel()
	for {
		if alive, err := isLocked(lock); !alive || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not down: %w", dir, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// pullForPeople pulls a lever of the cluster that runs this program, or of the one in the background: `node reboot k1` is
// /nodes/k1/reboot, and `apiserver stop` is /apiserver/stop.
func pullForPeople(ctx context.Context, args []string) error {
	path, err := leverPath(args)
	if err != nil {
		return err
	}
	dir := os.Getenv(folderVariable)
	if dir == "" {
		_, cache, err := places()
		if err != nil {
			return err
		}
		if dir, err = running(cache); err != nil {
			return err
		}
	}
	if dir == "" {
		return errors.New("no cluster is up")
	}
	return pull(ctx, dir, path)
}

func leverPath(args []string) (string, error) {
	switch {
	case len(args) == 3 && args[0] == "node" && !strings.Contains(args[1]+args[2], "/"):
		return "/nodes/" + args[2] + "/" + args[1], nil
	case len(args) == 2 && args[0] == "apiserver" && !strings.Contains(args[1], "/"):
		return "/apiserver/" + args[1], nil
	}
	return "", fmt.Errorf("%q is not as in `node reboot k1` or `apiserver stop`", strings.Join(args, " "))
}

// pull pulls a lever of the cluster that has a folder.
func pull(ctx context.Context, dir, path string) error {
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, leverSocket))
	}}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://cluster"+path, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s is nothing that a cluster does; --help lists it", path)
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", path, strings.TrimSpace(string(said)))
	}
	return err
}
