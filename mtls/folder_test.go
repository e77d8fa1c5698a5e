package mtls

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// mounted writes a set as the kubelet does: into a folder of its own, to which the link ..data is then swapped. The names in
// the mount are links through ..data.
func mounted(t testing.TB, mount string, set PEM) {
	t.Helper()
	folder, err := os.MkdirTemp(mount, "..2026_")
	if err != nil {
		t.Fatal(err)
	}
	loose(t, folder, set)
	before, _ := os.Readlink(filepath.Join(mount, "..data"))
	next := filepath.Join(mount, "..data_tmp")
	if err := os.Symlink(filepath.Base(folder), next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(mount, "..data")); err != nil {
		t.Fatal(err)
	}
	if before != "" {
		if err := os.RemoveAll(filepath.Join(mount, before)); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, name := range []string{CertificateName, KeyName, AuthoritiesName} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(mount, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// loose writes a set as plain files, one after the other, in place.
func loose(t testing.TB, folder string, set PEM) {
	t.Helper()
	for name, data := range map[string][]byte{CertificateName: set.Certificate, KeyName: set.Key, AuthoritiesName: set.Authorities} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// told notes what a Folder tells.
type told struct{ problems []error }

func (w *told) changed(problem error) { w.problems = append(w.problems, problem) }

// serial is of the certificate in use.
func serial(t testing.TB, source Source) string {
	t.Helper()
	material, err := source.Material()
	if err != nil {
		t.Fatal(err)
	}
	return material.chain[0].SerialNumber.String()
}

func serialOf(t testing.TB, set PEM) string { return serial(t, holding(t, set)) }

func TestFolderFollowsAMountedSecret(t *testing.T) {
	ca, mount, w := newAuthority(t), t.TempDir(), &told{}
	folder := NewFolder(mount, w.changed)
	for range 3 {
		set := ca.leaf(agent)
		mounted(t, mount, set)
		if got, want := serial(t, folder), serialOf(t, set); got != want {
			t.Fatalf("in use is certificate %s; want the one just mounted, %s", got, want)
		}
		if serial(t, folder); len(w.problems) == 0 || w.problems[len(w.problems)-1] != nil {
			t.Fatalf("told %v; want nothing bad", w.problems)
		}
	}
	if len(w.problems) != 3 {
		t.Errorf("told %d times of 3 changes", len(w.problems))
	}
}

func TestFolderSeesAFileRewrittenInPlaceAtOnce(t *testing.T) {
	ca, path := newAuthority(t), t.TempDir()
	folder := NewFolder(path, nil)
	for range 20 {
		set := ca.leaf(agent)
		loose(t, path, set)
		if got, want := serial(t, folder), serialOf(t, set); got != want {
			t.Fatalf("in use is certificate %s; want the one just written, %s", got, want)
		}
	}
}

func TestFolderKeepsTheLastGoodSet(t *testing.T) {
	ca := newAuthority(t)
	good, next := ca.leaf(agent), ca.leaf(agent)
	cases := map[string]struct {
		set  PEM
		want string
	}{
		"half-written certificate": {PEM{half(next.Certificate), next.Key, next.Authorities}, "tls.crt"},
		"half-written key":         {PEM{next.Certificate, half(next.Key), next.Authorities}, "tls.key"},
		"half-written authorities": {PEM{next.Certificate, next.Key, half(next.Authorities)}, "ca.crt"},
		"key not yet written":      {PEM{next.Certificate, good.Key, next.Authorities}, "tls.key"},
		"emptied file":             {PEM{next.Certificate, nil, next.Authorities}, "tls.key: missing"},
		"expired":                  {ca.leaf(agent, expired), "tls.crt: expired"},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			path, w := t.TempDir(), &told{}
			folder := NewFolder(path, w.changed)
			loose(t, path, good)
			serial(t, folder)
			loose(t, path, x.set)
			for range 3 {
				if got := serial(t, folder); got != serialOf(t, good) {
					t.Fatalf("in use is certificate %s; want the last good one", got)
				}
			}
			if len(w.problems) != 2 || w.problems[1] == nil || !strings.Contains(w.problems[1].Error(), x.want) {
				t.Errorf("told %v; want once why the new set is not in use: %q", w.problems, x.want)
			}
			loose(t, path, next)
			if got := serial(t, folder); got != serialOf(t, next) || folder.Problem() != nil {
				t.Errorf("in use is certificate %s, problem %v; want the new one once it is whole", got, folder.Problem())
			}
			if len(w.problems) != 3 || w.problems[2] != nil {
				t.Errorf("told %v; want nil at last", w.problems)
			}
		})
	}
}

func TestFolderKeepsTheLastGoodSetWhenFilesGo(t *testing.T) {
	ca, path := newAuthority(t), t.TempDir()
	good := ca.leaf(agent)
	folder := NewFolder(path, nil)
	loose(t, path, good)
	serial(t, folder)
	if err := os.Remove(filepath.Join(path, KeyName)); err != nil {
		t.Fatal(err)
	}
	if got := serial(t, folder); got != serialOf(t, good) || folder.Problem() == nil {
		t.Errorf("in use is certificate %s, problem %v; want the last good one, and a problem", got, folder.Problem())
	}
}

func TestFolderMayComeLater(t *testing.T) {
	path, w := filepath.Join(t.TempDir(), "later"), &told{}
	folder := NewFolder(path, w.changed)
	for range 2 {
		if _, err := folder.Material(); err == nil {
			t.Fatal("a folder that is not there has a certificate")
		}
	}
	if len(w.problems) != 1 {
		t.Errorf("told %v; want the same once", w.problems)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	set := newAuthority(t).leaf(agent)
	loose(t, path, set)
	if got := serial(t, folder); got != serialOf(t, set) {
		t.Errorf("in use is certificate %s; want the one that came later", got)
	}
}

func TestFolderSaysWhenWhatItUsesExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, w := t.TempDir(), &told{}
		folder := NewFolder(path, w.changed)
		set := newAuthority(t).leaf(agent)
		loose(t, path, set)
		serial(t, folder)
		time.Sleep(2 * time.Hour)
		for range 2 {
			if got := serial(t, folder); got != serialOf(t, set) {
				t.Errorf("in use is certificate %s; want the one that there is", got)
			}
		}
		if len(w.problems) != 2 || w.problems[1] == nil || !strings.Contains(w.problems[1].Error(), "tls.crt: expired") {
			t.Errorf("told %v; want once that it expired", w.problems)
		}
	})
}

// A pool of gRPC connections outlives the certificates it began with: open connections go on, new ones use the new set, and
// no call fails, while first the authorities of both ends and then the certificates are exchanged.
func TestConnectionsOutliveARotation(t *testing.T) {
	before, after := newAuthority(t), newAuthority(t)
	mounts := map[string]string{agent: t.TempDir(), controller: t.TempDir()}
	put := func(from *authority, trust ...*authority) {
		for name, mount := range mounts {
			mounted(t, mount, from.leaf(name).trusting(trust...))
		}
	}
	put(before, before)
	address := serveHealth(t, NewFolder(mounts[agent], nil))
	source := NewFolder(mounts[controller], nil)
	open := dialHealth(t, source, address)
	for i, step := range []func(){
		func() {}, func() { put(before, before, after) }, func() { put(after, before, after) }, func() { put(after, after) },
	} {
		step()
		for _, conn := range []*grpc.ClientConn{open, dialHealth(t, source, address)} {
			ask(t, conn, i)
		}
	}
	if state := open.GetState(); state != connectivity.Ready {
		t.Errorf("the connection from before the rotation is %v", state)
	}
}

func serveHealth(t testing.TB, source Source) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(ServerCredentials(source, controller)))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		<-served
	})
	return listener.Addr().String()
}

func dialHealth(t testing.TB, source Source, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(ClientCredentials(source, agent)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func ask(t testing.TB, conn *grpc.ClientConn, step int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Fatalf("call after step %d: %v", step, err)
	}
}

func BenchmarkFolder(b *testing.B) {
	mount := b.TempDir()
	mounted(b, mount, newAuthority(b).leaf(agent))
	folder := NewFolder(mount, nil)
	time.Sleep(200 * time.Millisecond) // until the files count as settled
	for b.Loop() {
		serial(b, folder)
	}
}
