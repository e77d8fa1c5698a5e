package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// The addresses of the cluster's network. Nobody else has them: it is in a namespace of its own.
const (
	gateway      = "10.77.0.1" // of the nodes; the control plane is there, too
	apiServiceIP = "10.96.0.1" // of the Service kubernetes, an address of the gateway's: no kube-proxy is needed for it
	serviceRange = "10.96.0.0/24"
	apiPort      = "443"
)

func nodeAddress(n int) string { return fmt.Sprintf("10.77.0.%d", 10+n) }

func podNetwork(node int) string { return fmt.Sprintf("10.88.%d.0/24", node) }

// namespace is a network namespace without a name, which goes with the processes in it. Its one thread starts them: children
// are in the namespace of the thread that forks them, and end with that thread (PR_SET_PDEATHSIG).
type namespace struct {
	work chan func()
}

// newNamespace makes one with a bridge, and a tap on it for each node.
func newNamespace(ctx context.Context, nodes int) (*namespace, error) {
	n := &namespace{work: make(chan func())}
	made := make(chan error)
	go func() { // for as long as the process lives
		runtime.LockOSThread()
		made <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range n.work {
			f()
		}
	}()
	if err := <-made; err != nil {
		return nil, fmt.Errorf("a network namespace (are you root?): %w", err)
	}
	commands := [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"ip", "link", "add", "br0", "type", "bridge"},
		{"ip", "addr", "add", gateway + "/24", "dev", "br0"},
		{"ip", "addr", "add", apiServiceIP + "/32", "dev", "br0"},
		{"ip", "link", "set", "br0", "up"},
	}
	for i := 1; i <= nodes; i++ {
		commands = append(commands,
			[]string{"ip", "tuntap", "add", tap(i), "mode", "tap"},
			[]string{"ip", "link", "set", tap(i), "master", "br0", "up"},
			[]string{"ip", "route", "add", podNetwork(i), "via", nodeAddress(i)})
	}
	for _, c := range commands {
		if err := n.run(exec.CommandContext(ctx, c[0], c[1:]...)); err != nil {
			return nil, err
		}
	}
	return n, n.forward()
}

func tap(node int) string { return fmt.Sprintf("tap%d", node) }

// do calls a function on the namespace's thread.
func (n *namespace) do(f func() error) error {
	done := make(chan error, 1)
	n.work <- func() { done <- f() }
	return <-done
}

// forward lets the namespace route between nodes and pods.
func (n *namespace) forward() error {
	return n.do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) })
}

// start starts a program there, which ends with this process, at once: told kindly to end while
// etcd was ending, kube-apiserver was seen to live on for 50 s.
func (n *namespace) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &unix.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig, cmd.SysProcAttr.Setpgid = unix.SIGKILL, true
	return n.do(cmd.Start)
}

// run starts a program there and waits for its end.
func (n *namespace) run(cmd *exec.Cmd) error {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := n.start(cmd); err != nil {
		return err
	}
	said, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%v: %w: %s", cmd.Args, err, said)
	}
	return nil
}

// dial connects from there.
func (n *namespace) dial(address string) (conn net.Conn, err error) {
	err = n.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "socket")
		defer f.Close()
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		var number int
		if _, err := fmt.Sscan(port, &number); err != nil {
			return err
		}
		to := &unix.SockaddrInet4{Port: number}
		copy(to.Addr[:], net.ParseIP(host).To4())
		if err := unix.Connect(fd, to); err != nil {
			return err
		}
		conn, err = net.FileConn(f)
		return err
	})
	return conn, err
}

// expose forwards connections to a port of the loopback interface, outside, to an address in the namespace. It returns the
// port's address and forwards until the context ends.
func (n *namespace) expose(ctx context.Context, address string) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go n.splice(from, address)
		}
	}()
	return l.Addr().String(), nil
}

func (n *namespace) splice(from net.Conn, address string) {
	defer from.Close()
	to, err := n.dial(address)
	if err != nil {
		return
	}
	defer to.Close()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			if half, ok := way[0].(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
			ended <- struct{}{}
		}()
	}
	<-ended
	<-ended
}

var errNotRoot = errors.New("a cluster needs root: for a network namespace, taps and device nodes")
