package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	csipb "github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/mtls"
)

// authority issues certificates.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{t: t}
	template := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.certificate, a.key = a.issue(template)
	return a
}

// issue makes a key and a certificate of it, which signs itself while there is no authority yet.
func (a authority) issue(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	must(a.t, err)
	c, err := x509.ParseCertificate(der)
	must(a.t, err)
	return c, key
}

// folder is one with a certificate for the name, as a mounted Secret has it.
func (a authority) folder(path, name string) string {
	a.t.Helper()
	c, key := a.issue(&x509.Certificate{
		DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(a.t, err)
	must(a.t, os.MkdirAll(path, 0o700))
	for file, block := range map[string]pem.Block{
		mtls.CertificateName: {Type: "CERTIFICATE", Bytes: c.Raw}, mtls.KeyName: {Type: "PRIVATE KEY", Bytes: der},
		mtls.AuthoritiesName: {Type: "CERTIFICATE", Bytes: a.certificate.Raw},
	} {
		must(a.t, os.WriteFile(filepath.Join(path, file), pem.EncodeToMemory(&block), 0o600))
	}
	return path
}

// asking is a connection to the agent from elsewhere, by one who shows the folder's certificate.
func (b testbed) asking(folder string) *grpc.ClientConn {
	b.t.Helper()
	conn, err := grpc.NewClient(b.remote, grpc.WithTransportCredentials(mtls.ClientCredentials(mtls.NewFolder(folder, nil), mtls.AgentName)))
	must(b.t, err)
	b.t.Cleanup(func() { conn.Close() })
	return conn
}

func TestControllersAreServedOnceTheyProveIt(t *testing.T) {
	b, ctx := serveTestbed(t, false), context.Background()
	b.up.Store(true)
	b.wantHealth("/readyz", 503, "certificates in "+b.TLSDir)
	ours, others := newAuthority(t), newAuthority(t)
	controller := b.asking(ours.folder(t.TempDir(), mtls.ControllerName))
	_, err := csipb.NewControllerClient(controller).GetCapacity(ctx, &csipb.GetCapacityRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("without certificates: %v; want UNAVAILABLE", err)
	}

	ours.folder(b.TLSDir, mtls.AgentName)
	b.wantHealth("/readyz", 200, "ok")
	controller.ResetConnectBackoff()
	if _, err := csipb.NewControllerClient(controller).GetCapacity(ctx, &csipb.GetCapacityRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Errorf("a controller is refused: %v", err)
	}
	_, err = csipb.NewNodeClient(controller).NodeGetInfo(ctx, &csipb.NodeGetInfoRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("what is the kubelet's to ask: %v; want UNIMPLEMENTED", err)
	}
	for who, folder := range map[string]string{
		"another agent":                   ours.folder(t.TempDir(), mtls.AgentName),
		"a controller of somebody else's": others.folder(t.TempDir(), mtls.ControllerName),
	} {
		_, err := csipb.NewControllerClient(b.asking(folder)).GetCapacity(ctx, &csipb.GetCapacityRequest{})
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v; want UNAVAILABLE", who, err)
		}
	}
}
