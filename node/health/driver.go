package health

import (
	"context"
	"errors"
	"net"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// ErrNotReady says that a driver answers, but is not to be used yet.
var ErrNotReady = errors.New("the driver answers, but is not ready: pools are being brought up")

// Driver is a CSI driver, asked over its socket as its users do.
type Driver struct {
	conn *grpc.ClientConn
}

// NewDriver asks the driver on that unix socket. Nothing is sent before the first question.
func NewDriver(socket string) (*Driver, error) {
	// The passthrough scheme hands the path to the dialler untouched; grpc's own unix scheme would parse it as a URL.
	conn, err := grpc.NewClient("passthrough:///driver", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}))
	return &Driver{conn}, err
}

// Probe asks whether the driver can be used (CSI spec, "Probe"). Errors: ErrNotReady, or those of gRPC.
func (d *Driver) Probe(ctx context.Context) error {
	answer, err := csi.NewIdentityClient(d.conn).Probe(ctx, &csi.ProbeRequest{})
	if err != nil {
		return err
	}
	if ready := answer.GetReady(); ready != nil && !ready.GetValue() {
		return ErrNotReady
	}
	return nil
}

// Close gives up the connection.
func (d *Driver) Close() error { return d.conn.Close() }
