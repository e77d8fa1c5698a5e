package cluster

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"
)

// Container is where a command runs.
type Container struct{ Namespace, Pod, Name string }

// Exec runs a command in a container, and returns its standard output. Errors: what Kubernetes refused with; of a command that failed, what
// it said.
type Exec func(ctx context.Context, in Container, command ...string) ([]byte, error)

// Bounds on what a command may print: the report of a node with 10,000 volumes has some 5 MB.
const (
	maxAnswer    = 64 << 20
	maxComplaint = 4 << 10
)

// errTooLong says that a command printed more than anything of Loam's does.
var errTooLong = errors.New("its answer is too long")

// NewExec runs commands as `kubectl exec` does: over a WebSocket, or SPDY where the way to the API server does not let that through.
func NewExec(config *rest.Config, client kubernetes.Interface) Exec {
	return func(ctx context.Context, in Container, command ...string) ([]byte, error) {
		url := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(in.Namespace).Name(in.Pod).SubResource("exec").
			VersionedParams(&corev1.PodExecOptions{Container: in.Name, Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
		webSocket, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, url.String())
		if err != nil {
			return nil, err
		}
		spdy, err := remotecommand.NewSPDYExecutor(config, http.MethodPost, url)
		if err != nil {
			return nil, err
		}
		either, err := remotecommand.NewFallbackExecutor(webSocket, spdy, func(err error) bool {
			return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
		})
		if err != nil {
			return nil, err
		}
		stdout, stderr := bounded{most: maxAnswer}, bounded{most: maxComplaint}
		err = either.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr})
		if stdout.more {
			return nil, errTooLong
		}
		return stdout.kept.Bytes(), told(err, stderr.kept.String())
	}
}

// told is the error of a command that ended, in its own words.
func told(err error, stderr string) error {
	if _, ended := errors.AsType[exec.CodeExitError](err); !ended {
		return err
	}
	line, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
	return fmt.Errorf("%s", cmp.Or(strings.TrimPrefix(line, "loam: "), err.Error()))
}

// bounded keeps the beginning of what is written to it. The buffer is not embedded: io.Copy would find its ReadFrom, which has no bound.
type bounded struct {
	kept bytes.Buffer
	most int
	more bool // there was
}

func (b *bounded) Write(p []byte) (int, error) {
	room := max(0, b.most-b.kept.Len())
	b.more = b.more || len(p) > room
	b.kept.Write(p[:min(room, len(p))])
	return len(p), nil
}
