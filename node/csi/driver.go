package csi

import (
	"log/slog"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"

	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
)

// Name is the driver's name, and TopologyKey the key whose value is the node that a volume is on.
const (
	Name        = "loam.storage"
	TopologyKey = Name + "/node"
)

// Driver is the CSI driver of one node.
type Driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedNodeServer

	Node    string // this node's name, which begins every volume's ID
	Version string
	Pools   *pool.Pools
	Mounter filesystem.Mounter
	Intents Intents
	Log     *slog.Logger
	Ready   func() bool // whether the pools were brought up once; nil when they were
}

// Register adds the driver's services to a server.
func (d *Driver) Register(s grpc.ServiceRegistrar) {
	csi.RegisterIdentityServer(s, d)
	csi.RegisterControllerServer(s, d)
	csi.RegisterNodeServer(s, d)
}
