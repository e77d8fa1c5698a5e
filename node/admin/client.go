package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
)

// SocketBeside is the operator's socket of the agent that serves CSI on that path.
func SocketBeside(csiSocket string) string {
	return filepath.Join(filepath.Dir(csiSocket), "admin.sock")
}

// Client asks an agent. It may be used concurrently.
type Client struct {
	http http.Client
}

// NewClient asks the agent whose operator's socket is that path. Nothing is sent before the first question.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConns: 1}}}
}

// Error is an answer other than 200: what the agent says went wrong.
type Error struct {
	Code    int // HTTP's
	Message string
}

func (e *Error) Error() string { return e.Message }

// Info asks which agent answers. Errors of this and of the other questions: *Error, or what connecting fails with.
func (c *Client) Info(ctx context.Context) (Info, error) { return ask[Info](ctx, c, infoPath) }

// Disks asks for every disk of the node.
func (c *Client) Disks(ctx context.Context) ([]Disk, error) { return ask[[]Disk](ctx, c, disksPath) }

// Pools asks for every configured pool.
func (c *Client) Pools(ctx context.Context) ([]Pool, error) { return ask[[]Pool](ctx, c, poolsPath) }

// Volumes asks for every volume and snapshot.
func (c *Client) Volumes(ctx context.Context) ([]Volume, error) {
	return ask[[]Volume](ctx, c, volumesPath)
}

// Restoration asks how a pool's metadata could be restored.
func (c *Client) Restoration(ctx context.Context, pool string) (Restoration, error) {
	return ask[Restoration](ctx, c, restorationPath(url.PathEscape(pool)))
}

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func ask[T any](ctx context.Context, c *Client, path string) (body T, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent"+path, nil)
	if err != nil {
		return body, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return body, err
	}
	defer func() { _ = resp.Body.Close() }()
	decoder := json.NewDecoder(resp.Body)
	if resp.StatusCode != http.StatusOK {
		var f failure
		if err := decoder.Decode(&f); err != nil || f.Error == "" {
			f.Error = fmt.Sprintf("%s: %s", path, resp.Status)
		}
		return body, &Error{Code: resp.StatusCode, Message: f.Error}
	}
	if err := decoder.Decode(&body); err != nil {
		return body, fmt.Errorf("the agent's answer to %s: %w", path, err)
	}
	return body, nil
}
