package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// shake connects a client with a server, and sends a byte each way: in TLS 1.3 a client learns only then whether the server
// took its certificate.
func shake(t testing.TB, server, client *tls.Config) (atServer, atClient error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = echo(tls.Server(conn, server))
		}
		served <- err
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(conn, client)
	if _, atClient = c.Write([]byte{1}); atClient == nil {
		_, atClient = io.ReadFull(c, make([]byte, 1))
	}
	conn.Close()
	return <-served, atClient
}

func echo(conn *tls.Conn) error {
	defer conn.Close()
	if err := conn.Handshake(); err != nil {
		return err
	}
	one := make([]byte, 1)
	if _, err := io.ReadFull(conn, one); err != nil {
		return err
	}
	_, err := conn.Write(one)
	return err
}

func TestHandshakeOfTheTwoThatBelongTogether(t *testing.T) {
	ca := newAuthority(t)
	server := Server(holding(t, ca.leaf(agent)), controller)
	client := Client(holding(t, ca.leaf(controller)), agent)
	if atServer, atClient := shake(t, server, client); atServer != nil || atClient != nil {
		t.Errorf("handshake failed: at the server %v; at the client %v", atServer, atClient)
	}
}

func TestHandshakeRefused(t *testing.T) {
	ca, foreign := newAuthority(t), newAuthority(t)
	good := func() (agentSet, controllerSet PEM) { return ca.leaf(agent), ca.leaf(controller) }
	a, c := good()
	cases := map[string]struct {
		server, client PEM
		by             string // who refuses
		because        string
	}{
		"a server of another name":         {ca.leaf(controller), c, "client", "not for \"loam-agent\""},
		"a client of another name":         {a, ca.leaf(agent), "server", "not for \"loam-controller\""},
		"a client named in CN alone":       {a, ca.leaf(controller, func(x *x509.Certificate) { x.DNSNames = []string{"other"} }), "server", "not for"},
		"a client with a wildcard":         {a, ca.leaf("*"), "server", "not for"},
		"a server of a foreign authority":  {foreign.leaf(agent).trusting(ca), c, "client", "unknown authority"},
		"a client of a foreign authority":  {a, foreign.leaf(controller).trusting(ca), "server", "unknown authority"},
		"a server whose certificate ended": {ca.leaf(agent, expired), c, "client", "expired"},
		"a client whose certificate ended": {a, ca.leaf(controller, expired), "server", "expired"},
		"a client before its time":         {a, ca.leaf(controller, notYet), "server", "not yet valid"},
		"a client with a server's":         {a, ca.leaf(controller, only(x509.ExtKeyUsageServerAuth)), "server", "usage"},
		"a server with a client's":         {ca.leaf(agent, only(x509.ExtKeyUsageClientAuth)), c, "client", "usage"},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			atServer, atClient := shake(t, Server(holding(t, x.server), controller), Client(holding(t, x.client), agent))
			if atServer == nil || atClient == nil {
				t.Fatalf("both ends should fail: at the server %v; at the client %v", atServer, atClient)
			}
			if reason := map[string]error{"server": atServer, "client": atClient}[x.by]; !strings.Contains(reason.Error(), x.because) {
				t.Errorf("the %s says %q; want the reason %q", x.by, reason, x.because)
			}
		})
	}
}

func TestServerRefusesAClientWithoutACertificate(t *testing.T) {
	ca := newAuthority(t)
	client := Client(holding(t, ca.leaf(controller)), agent)
	client.GetClientCertificate = nil
	if atServer, atClient := shake(t, Server(holding(t, ca.leaf(agent)), controller), client); atServer == nil || atClient == nil {
		t.Errorf("a client without a certificate was served: at the server %v; at the client %v", atServer, atClient)
	}
}

func TestServerRefusesAnOlderTLS(t *testing.T) {
	ca := newAuthority(t)
	client := Client(holding(t, ca.leaf(controller)), agent)
	client.MinVersion, client.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if atServer, _ := shake(t, Server(holding(t, ca.leaf(agent)), controller), client); atServer == nil {
		t.Error("TLS 1.2 was served; want 1.3 alone")
	}
}

func TestHandshakeFailsWhereThereIsNoCertificateYet(t *testing.T) {
	ca := newAuthority(t)
	client := Client(holding(t, ca.leaf(controller)), agent)
	if atServer, _ := shake(t, Server(&Memory{}, controller), client); !errors.Is(atServer, ErrNone) {
		t.Errorf("the server's error is %v; want %v", atServer, ErrNone)
	}
}

func TestBothAuthoritiesAreTrustedDuringARotation(t *testing.T) {
	before, after := newAuthority(t), newAuthority(t)
	for _, server := range []*authority{before, after} {
		for _, client := range []*authority{before, after} {
			s := Server(holding(t, server.leaf(agent).trusting(before, after)), controller)
			c := Client(holding(t, client.leaf(controller).trusting(after, before)), agent)
			if atServer, atClient := shake(t, s, c); atServer != nil || atClient != nil {
				t.Errorf("handshake failed: at the server %v; at the client %v", atServer, atClient)
			}
		}
	}
}

func TestIntermediateAuthoritiesComeWithTheCertificate(t *testing.T) {
	root := newAuthority(t)
	middle := newAuthority(t)
	middle.certificate, middle.key = root.sign(middle.certificate, root.certificate, root.key)
	set := middle.leaf(controller).trusting(root)
	set.Certificate = append(set.Certificate, encoded(middle.certificate)...)
	atServer, atClient := shake(t, Server(holding(t, root.leaf(agent)), controller), Client(holding(t, set), agent))
	if atServer != nil || atClient != nil {
		t.Errorf("handshake failed: at the server %v; at the client %v", atServer, atClient)
	}
}
