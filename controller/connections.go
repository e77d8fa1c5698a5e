package controller

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// KeepaliveInterval is how often a connection that waits for an answer is probed. Agents must allow it
// (keepalive.EnforcementPolicy.MinTime), as gRPC's default of 5 minutes takes it for an attack and hangs up.
const KeepaliveInterval = 30 * time.Second

// An agent that came back is found again within reconnect; one that lost power is noticed a keepalive's interval and
// silence after its last byte.
const (
	silence   = 10 * time.Second
	reconnect = 3 * time.Second
)

// dialing is how agents are reached.
type dialing struct {
	port        int
	credentials credentials.TransportCredentials
}

// connections are the open ones, one per pod, each made when it is first used.
type connections struct {
	dialing
	exists func(*corev1.Pod) bool // is that pod still there?

	mu    sync.Mutex // guards what follows
	byPod map[types.UID]connection
}

type connection struct {
	address string
	*grpc.ClientConn
}

// client returns a client of the agent in a pod.
func (c *connections) client(pod *corev1.Pod) (csi.ControllerClient, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Asked under the lock: a pod that goes after this is dropped after this, too, so that no connection outlives its pod.
	if !c.exists(pod) {
		return nil, away(pod.Spec.NodeName, fmt.Sprintf("its agent (pod %s) has just gone", pod.Name))
	}
	address := net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(c.port))
	has, ok := c.byPod[pod.UID]
	if ok && has.address == address {
		return csi.NewControllerClient(has), nil
	}
	conn, err := c.dial(pod.Spec.NodeName, address)
	if err != nil {
		return nil, refuse(codes.Internal, "agent of node %s on %s: %v", pod.Spec.NodeName, address, err)
	}
	if ok { // its sandbox was made anew, with another address
		_ = has.Close() // fails only when closed already
	}
	if c.byPod == nil {
		c.byPod = map[types.UID]connection{}
	}
	c.byPod[pod.UID] = connection{address, conn}
	return csi.NewControllerClient(conn), nil
}

func (c *connections) dial(node, address string) (*grpc.ClientConn, error) {
	slowest := backoff.DefaultConfig
	slowest.MaxDelay = reconnect
	return grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(c.credentials),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err != nil {
				return nil, fmt.Errorf("agent of node %s: %w", node, err) // the sidecars show it to people
			}
			return conn, nil
		}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: slowest, MinConnectTimeout: silence}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: KeepaliveInterval, Timeout: silence}),
	)
}

// drop closes the connection to a pod that has gone; calls on it end with UNAVAILABLE.
func (c *connections) drop(pod types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if has, ok := c.byPod[pod]; ok {
		_ = has.Close() // fails only when closed already
		delete(c.byPod, pod)
	}
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, has := range c.byPod {
		_ = has.Close() // fails only when closed already
	}
	c.byPod = nil
}
