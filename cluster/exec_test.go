package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// oldServer is an API server behind something that lets no WebSocket through. It runs every command as run does.
func oldServer(t *testing.T, run func(command []string, stdout, stderr io.Writer) *metav1.Status) Exec {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			http.Error(w, "no WebSocket here", http.StatusBadRequest)
			return
		}
		if want := "/api/v1/namespaces/loam-system/pods/loam-agent-a/exec"; r.URL.Path != want || r.URL.Query().Get("container") != "agent" {
			t.Errorf("asked for %s; want %s of container agent", r.URL, want)
		}
		if _, err := httpstream.Handshake(r, w, []string{remotecommand.StreamProtocolV4Name}); err != nil {
			t.Error(err)
			return
		}
		streams := make(chan httpstream.Stream, 3)
		connection := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
			streams <- s
			return nil
		})
		if connection == nil {
			return
		}
		defer connection.Close()
		named := map[string]httpstream.Stream{}
		for range 3 {
			s := <-streams
			named[s.Headers().Get(corev1.StreamType)] = s
		}
		if status := run(r.URL.Query()["command"], named[corev1.StreamTypeStdout], named[corev1.StreamTypeStderr]); status != nil {
			if err := json.NewEncoder(named[corev1.StreamTypeError]).Encode(status); err != nil {
				t.Error(err)
			}
		}
		for _, s := range named {
			s.Close()
		}
		<-connection.CloseChan()
	}))
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return NewExec(config, client)
}

var agentOf = Container{Namespace: "loam-system", Pod: "loam-agent-a", Name: "agent"}

func TestCommandsGoOverSPDYWhereNoWebSocketGetsThrough(t *testing.T) {
	execute := oldServer(t, func(command []string, stdout, stderr io.Writer) *metav1.Status {
		if command[0] == "fail" {
			fmt.Fprint(stderr, "loam: no agent answers\n")
			return &metav1.Status{Status: metav1.StatusFailure, Reason: remotecommand.NonZeroExitCodeReason, Details: &metav1.StatusDetails{
				Causes: []metav1.StatusCause{{Type: remotecommand.ExitCodeCauseType, Message: "1"}},
			}}
		}
		fmt.Fprint(stdout, "ran "+strings.Join(command, " "))
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if got, err := execute(ctx, agentOf, "loam", "report"); err != nil || string(got) != "ran loam report" {
		t.Errorf("%q, %v; want what the command printed", got, err)
	}
	if _, err := execute(ctx, agentOf, "fail"); err == nil || err.Error() != "no agent answers" {
		t.Errorf("a command that fails: %v; want its own words", err)
	}
}

func TestACommandThatPrintsTooMuchIsRefused(t *testing.T) {
	execute := oldServer(t, func(_ []string, stdout, _ io.Writer) *metav1.Status {
		chunk := make([]byte, 1<<20)
		for range maxAnswer>>20 + 1 {
			if _, err := stdout.Write(chunk); err != nil {
				break
			}
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := execute(ctx, agentOf, "loam"); !errors.Is(err, errTooLong) {
		t.Errorf("%v; want %v", err, errTooLong)
	}
}

func TestAFailedCommandIsToldInItsOwnWords(t *testing.T) {
	failed := exec.CodeExitError{Err: errors.New("command terminated with exit code 1"), Code: 1}
	for _, c := range []struct {
		err    error
		stderr string
		want   string
	}{
		{failed, "loam: no agent answers\nSee more", "no agent answers"},
		{failed, "", "command terminated with exit code 1"},
		{errors.New("dial: refused"), "noise", "dial: refused"},
	} {
		if got := told(c.err, c.stderr); got == nil || got.Error() != c.want {
			t.Errorf("%v with %q: %v; want %q", c.err, c.stderr, got, c.want)
		}
	}
	if told(nil, "a warning") != nil {
		t.Error("a warning was taken for an error")
	}
}

func TestAnAnswerIsKeptUpToItsBound(t *testing.T) {
	b := bounded{most: 5}
	for _, part := range []string{"abc", "def"} {
		if n, err := b.Write([]byte(part)); n != 3 || err != nil {
			t.Errorf("wrote %d, %v; want 3: whoever writes must not notice", n, err)
		}
	}
	if b.kept.String() != "abcde" || !b.more {
		t.Errorf("kept %q, more %v; want abcde, and more", b.kept.String(), b.more)
	}
}
