package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"google.golang.org/grpc/credentials"
)

// Server is for a server that serves only clients whose certificate has the DNS name.
func Server(source Source, client string) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own(source) },
		// It must show a certificate and prove to have its key; VerifyConnection says whether it is the right one.
		ClientAuth:       tls.RequireAnyClientCert,
		VerifyConnection: func(s tls.ConnectionState) error { return verify(source, s, client, x509.ExtKeyUsageClientAuth) },
		// A resumed session would lean on what was verified when it began.
		SessionTicketsDisabled: true,
	}
}

// Client is for a client that talks only to servers whose certificate has the DNS name, whatever address they are reached at.
func Client(source Source, server string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: server,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return own(source)
		},
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies: RootCAs could not change during a rotation
		VerifyConnection:   func(s tls.ConnectionState) error { return verify(source, s, server, x509.ExtKeyUsageServerAuth) },
	}
}

// ServerCredentials is Server for grpc.Creds.
func ServerCredentials(source Source, client string) credentials.TransportCredentials {
	return credentials.NewTLS(Server(source, client))
}

// ClientCredentials is Client for grpc.WithTransportCredentials.
func ClientCredentials(source Source, server string) credentials.TransportCredentials {
	return credentials.NewTLS(Client(source, server))
}

func own(source Source) (*tls.Certificate, error) {
	material, err := source.Material()
	if err != nil {
		return nil, fmt.Errorf("own certificate: %w", err)
	}
	return &material.certificate, nil
}

func verify(source Source, s tls.ConnectionState, name string, usage x509.ExtKeyUsage) error {
	material, err := source.Material()
	if err != nil {
		return fmt.Errorf("trusted authorities: %w", err)
	}
	if err := material.Verify(s.PeerCertificates, name, usage, time.Now()); err != nil {
		return fmt.Errorf("peer is not %s: %w", name, err)
	}
	return nil
}
