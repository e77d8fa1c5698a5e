package controller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"google.golang.org/grpc/credentials"
)

// agentName is the name in every agent's certificate.
const agentName = "loam-agent"

// FolderCredentials are mTLS toward the agents with tls.crt, tls.key and ca.crt of a folder, as a mounted Secret has them (one of
// cert-manager, say). They are read anew for each connection, so that a renewal needs no restart. The error is that of reading
// them now.
func FolderCredentials(folder string) (credentials.TransportCredentials, error) {
	if _, err := readFolder(folder); err != nil {
		return nil, err
	}
	return folderCredentials{folder}, nil
}

type folderCredentials struct{ folder string }

func readFolder(folder string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("certificate of the controller: %w", err)
	}
	ca, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("certificate of the CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("certificate of the CA: %s holds none", filepath.Join(folder, "ca.crt"))
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: agentName, MinVersion: tls.VersionTLS13,
	}, nil
}

func (c folderCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config, err := readFolder(c.folder)
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(config).ClientHandshake(ctx, authority, conn)
}

func (c folderCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("the router is a client of agents, not a server")
}

func (c folderCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

func (c folderCredentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName does nothing: an agent's address is its pod's, and its name always the same.
func (c folderCredentials) OverrideServerName(string) error { return nil }
