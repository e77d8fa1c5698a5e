package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
)

// fixed is a source that always knows the same.
type fixed struct {
	info    Info
	disks   []Disk
	pools   []Pool
	volumes []Volume
	err     error
}

func (f fixed) Info() Info                                { return f.info }
func (f fixed) Disks(context.Context) ([]Disk, error)     { return f.disks, f.err }
func (f fixed) Pools(context.Context) ([]Pool, error)     { return f.pools, f.err }
func (f fixed) Volumes(context.Context) ([]Volume, error) { return f.volumes, f.err }
func (f fixed) Restoration(_ context.Context, pool string) (Restoration, error) {
	return Restoration{Pool: pool}, f.err
}

// serve answers for a source on a unix socket, as the agent does.
func serve(t *testing.T, s Source) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(Handler(s))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	client := NewClient(socket)
	t.Cleanup(client.Close)
	return client
}

var whole = fixed{
	info: Info{
		Node: "n1", Version: "v0.1.0", Driver: "loam.storage", KubeletDir: "/", CSISocket: "/run/loam/csi.sock",
		ConfigPath: "/etc/loam/config.yaml", ConfigProblem: "line 3: unknown key",
	},
	disks: []Disk{
		{Path: "/dev/sdb", Size: 2 * lvm.GiB, Kind: "disk", Model: "M", Serial: "S", State: DiskTaken, Pool: "fast", VolumeGroup: "loam-fast", Links: []string{"/dev/disk/by-id/x"}},
		{Path: "/dev/sdc", Size: lvm.GiB, Kind: "disk", State: DiskRefused, Pool: "fast", Reason: "holds an ext4 file system", Links: []string{}},
	},
	pools: []Pool{{
		Name: "fast", Type: "thin", VolumeGroup: "loam-fast", Ready: true, Size: 4 * lvm.GiB, Used: lvm.GiB, Promised: 2 * lvm.GiB,
		Available: 2 * lvm.GiB, Largest: 2 * lvm.GiB, DataPercent: 25, MetadataPercent: 1.5, Volumes: 2, Snapshots: 1, Devices: []string{"/dev/sdb"},
		Healed: []Healing{{Volume: "a", What: "resumed", At: time.Unix(2, 0).UTC()}}, HealedCount: 3,
		Conditions: []Condition{{Kind: "DataNearlyFull", Since: time.Unix(1, 0).UTC(), Message: "add a disk"}},
	}},
	volumes: []Volume{{
		ID: "n1/data", Name: "data", LV: "data", Kind: KindVolume, Pool: "fast", VolumeGroup: "loam-fast", Size: lvm.GiB, Used: lvm.MiB,
		FS: "ext4", Claim: "db/data-0", Source: "snap-x", Created: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), Active: true,
		Mounts: []string{"/mnt/a"}, Health: "read-only after errors",
	}},
}

func TestClientReadsBackWhatTheSourceSaid(t *testing.T) {
	c, ctx := serve(t, whole), context.Background()
	check := func(what string, got, want any, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", what, got, err, want)
		}
	}
	info, err := c.Info(ctx)
	check("info", info, whole.info, err)
	disks, err := c.Disks(ctx)
	check("disks", disks, whole.disks, err)
	pools, err := c.Pools(ctx)
	check("pools", pools, whole.pools, err)
	volumes, err := c.Volumes(ctx)
	check("volumes", volumes, whole.volumes, err)
	restoration, err := c.Restoration(ctx, "fast")
	check("restoration", restoration, Restoration{Pool: "fast", Devices: []RestorationDevice{}, Commands: []string{}}, err)
}

func TestAReportHasEverythingThatCouldBeTold(t *testing.T) {
	got, err := serve(t, whole).Report(context.Background())
	if want := (Report{whole.info, whole.disks, whole.pools, whole.volumes, []string{}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	got, err = serve(t, fixed{info: whole.info, err: ErrStarting}).Report(context.Background())
	if err != nil || got.Info != whole.info || got.Disks != nil || got.Pools != nil || len(got.Problems) != 3 || got.Problems[0] != "disks are not known: pools are being brought up" {
		t.Errorf("of an agent that starts: %+v, %v; want its info, and why the rest is missing", got, err)
	}
}

func TestListsAreNeverNull(t *testing.T) {
	for source, want := range map[*fixed]map[string]string{
		{}:                  {"/v1/disks": "[]\n", "/v1/pools": "[]\n", "/v1/volumes": "[]\n"},
		{disks: []Disk{{}}}: {"/v1/disks": `"links":[]`},
		{pools: []Pool{{}}, volumes: []Volume{{}}}: {"/v1/pools": `"devices":[]`, "/v1/volumes": `"mounts":[]`},
	} {
		for path, part := range want {
			w := httptest.NewRecorder()
			Handler(source).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), part) {
				t.Errorf("GET %s: %d %s; want 200 with %q", path, w.Code, w.Body, part)
			}
		}
	}
}

func TestHandlerLeavesTheSourcesOwnListsAlone(t *testing.T) {
	source := fixed{volumes: []Volume{{}}}
	Handler(source).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/volumes", nil))
	if source.volumes[0].Mounts != nil {
		t.Error("the source's list was changed")
	}
}

func TestWrongQuestionsAreRefusedWithTheReason(t *testing.T) {
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{http.MethodGet, "/", http.StatusNotFound},
		{http.MethodGet, "/v1/", http.StatusNotFound},
		{http.MethodGet, "/v2/disks", http.StatusNotFound},
		{http.MethodGet, "/v1/disks/", http.StatusNotFound},
		{http.MethodPost, "/v1/disks", http.StatusMethodNotAllowed},
		{http.MethodDelete, "/v1/volumes", http.StatusMethodNotAllowed},
		{http.MethodGet, "/v1/volumes?pool=fast", http.StatusBadRequest},
	} {
		w := httptest.NewRecorder()
		Handler(whole).ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.code || !strings.HasPrefix(w.Body.String(), `{"error":"`) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %s; want %d with an error in JSON", c.method, c.path, w.Code, w.Body, c.code)
		}
	}
}

func TestHealthAnswersWithoutAskingTheSource(t *testing.T) {
	w := httptest.NewRecorder()
	Handler(nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	if body, _ := io.ReadAll(w.Body); w.Code != http.StatusOK || string(body) != "{\"status\":\"ok\"}\n" {
		t.Errorf("healthz: %d %s", w.Code, body)
	}
}

func TestClientTellsWhatTheAgentSaidWentWrong(t *testing.T) {
	for said, code := range map[error]int{
		errors.New("lvs: exit status 5"): http.StatusInternalServerError,
		ErrStarting:                      http.StatusServiceUnavailable,
	} {
		c := serve(t, fixed{err: said})
		_, err := c.Volumes(context.Background())
		var e *Error
		if !errors.As(err, &e) || e.Code != code || e.Message != said.Error() {
			t.Errorf("got %#v; want %q and %d", err, said, code)
		}
	}
}

func TestNoAgentIsToldByTheKernelsError(t *testing.T) {
	c := NewClient(filepath.Join(t.TempDir(), "none.sock"))
	if _, err := c.Info(context.Background()); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v; want ENOENT", err)
	}
}
