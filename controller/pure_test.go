package controller

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/loam-storage/loam/lvm"
)

func TestNewestReadyPodThatStaysAnswersForItsNode(t *testing.T) {
	for _, c := range []struct {
		pods []testPod
		want string
		why  string
	}{
		{nil, "", "there is no agent's pod on it"},
		{[]testPod{{name: "a", ip: "1", ready: true}}, "a", ""},
		{[]testPod{{name: "a", ip: "1", ready: true, age: 2}, {name: "b", ip: "2", ready: true, age: 1}}, "b", ""},
		{[]testPod{{name: "b", ip: "1", ready: true}, {name: "a", ip: "2", ready: true}}, "b", ""},
		{[]testPod{{name: "a", ip: "1", ready: true, age: 2e9}, {name: "b", ip: "2"}}, "a", ""},
		{[]testPod{{name: "a", ip: "1", ready: true, age: 2e9}, {name: "b", ip: "2", ready: true, going: true}}, "a", ""},
		{[]testPod{{name: "a", ready: true}}, "", "its agent (pod a) is not ready"},
		{[]testPod{{name: "a", ip: "1"}}, "", "its agent (pod a) is not ready"},
		{[]testPod{{name: "a", ip: "1", ready: true, going: true}}, "", "its agent (pod a) is stopping"},
	} {
		var pods []*corev1.Pod
		for _, p := range c.pods {
			pods = append(pods, p.object())
		}
		got, why := choosePod(pods)
		name := ""
		if got != nil {
			name = got.Name
		}
		if name != c.want || why != c.why {
			t.Errorf("%+v: chose %q (%s), want %q (%s)", c.pods, name, why, c.want, c.why)
		}
	}
}

func TestTrimKeepsWhatDecidesAndNoMore(t *testing.T) {
	whole := testPod{node: "n1", ip: "10.0.0.1", ready: true}.object()
	object, err := trim(whole)
	kept, ok := object.(*corev1.Pod)
	if err != nil || !ok || len(kept.Spec.Containers) > 0 || len(kept.Labels) > 0 || len(kept.Status.Conditions) != 1 {
		t.Fatalf("kept %+v, %v", object, err)
	}
	if chosen, _ := choosePod([]*corev1.Pod{kept}); chosen == nil || kept.Spec.NodeName != "n1" || kept.UID != whole.UID {
		t.Errorf("%+v is not chosen after trimming", kept)
	}
	if again, _ := trim(kept); !reflect.DeepEqual(again, kept) {
		t.Errorf("trimming twice gives %+v, want %+v", again, kept)
	}
	tombstone := cache.DeletedFinalStateUnknown{Key: "x"}
	if same, err := trim(tombstone); err != nil || same != any(tombstone) {
		t.Errorf("a tombstone became %v, %v", same, err)
	}
}

func TestWhereFollowsTopologiesAndSource(t *testing.T) {
	snapshot := func(id string) *csi.VolumeContentSource {
		return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: id}}}
	}
	clone := func(id string) *csi.VolumeContentSource {
		return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: id}}}
	}
	foreign := []*csi.Topology{{Segments: map[string]string{"zone": "a"}}, {Segments: map[string]string{topologyKey: "n1", "zone": "a"}}}
	for name, c := range map[string]struct {
		preferred, requisite []*csi.Topology
		source               *csi.VolumeContentSource
		want                 where
		code                 codes.Code
		says                 string
	}{
		"nothing":              {want: where{anywhere: true}},
		"one":                  {preferred: on("n1"), requisite: on("n1"), want: where{preferred: []string{"n1"}}},
		"preferred first":      {preferred: on("n2", "n1", "n2"), requisite: on("n3", "n1"), want: where{preferred: []string{"n2", "n1"}, others: []string{"n3"}}},
		"requisite alone":      {requisite: on("n3", "n1"), want: where{others: []string{"n3", "n1"}}},
		"empty term":           {preferred: on("n2"), requisite: []*csi.Topology{{}}, want: where{preferred: []string{"n2"}, anywhere: true}},
		"foreign beside ours":  {preferred: slices.Concat(foreign, on("n2")), want: where{preferred: []string{"n2"}}},
		"foreign alone":        {requisite: foreign, code: codes.ResourceExhausted, says: topologyKey},
		"no node's name":       {requisite: on("../n1"), code: codes.ResourceExhausted, says: topologyKey},
		"snapshot pins":        {source: snapshot("n1/snap-x"), want: where{preferred: []string{"n1"}}},
		"volume pins":          {source: clone("n1/x"), preferred: on("n2"), requisite: on("n1", "n2"), want: where{preferred: []string{"n1"}}},
		"snapshot contradicts": {source: snapshot("n1/snap-x"), requisite: on("n2"), code: codes.InvalidArgument, says: "snapshot_id and accessibility_requirements"},
		"volume contradicts":   {source: clone("n1/x"), requisite: on("n2"), code: codes.InvalidArgument, says: "volume_id and accessibility_requirements"},
		"source unknown":       {source: clone("nonsense"), code: codes.NotFound, says: "volume_content_source.volume.volume_id"},
		"source without ID":    {source: snapshot(""), code: codes.InvalidArgument, says: "volume_content_source.snapshot.snapshot_id"},
		"source of no kind":    {source: &csi.VolumeContentSource{}, code: codes.InvalidArgument, says: "volume_content_source"},
	} {
		t.Run(name, func(t *testing.T) {
			req := &csi.CreateVolumeRequest{VolumeContentSource: c.source}
			if c.preferred != nil || c.requisite != nil {
				req.AccessibilityRequirements = &csi.TopologyRequirement{Preferred: c.preferred, Requisite: c.requisite}
			}
			got, err := parseWhere(req)
			if c.code != codes.OK {
				wantCode(t, err, c.code, c.says)
				return
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestOrderOfNodes(t *testing.T) {
	is := func(node string, room lvm.Bytes) offer { return offer{node: node, available: room, largest: room} }
	silent := offer{node: "n8", err: status.Error(codes.Unavailable, "away")}
	wrong := offer{node: "n9", err: status.Error(codes.InvalidArgument, "no such pool")}
	gone := offer{node: "n7", err: status.Error(codes.ResourceExhausted, "gone")}
	for name, c := range map[string]struct {
		preferred []string
		offers    []offer
		want      []string
		code      codes.Code
	}{
		"most room first":                  {offers: []offer{is("n1", 20), is("n2", 30), is("n3", 25)}, want: []string{"n2", "n3", "n1"}},
		"same room by name":                {offers: []offer{is("n2", 20), is("n1", 20)}, want: []string{"n1", "n2"}},
		"preferred before room":            {preferred: []string{"n3", "n1"}, offers: []offer{is("n1", 20), is("n2", 30), is("n3", 10)}, want: []string{"n3", "n1", "n2"}},
		"full ones are left out":           {preferred: []string{"n1"}, offers: []offer{is("n1", 9), is("n2", 10)}, want: []string{"n2"}},
		"all full: the best says so":       {offers: []offer{is("n1", 3), is("n2", 5)}, want: []string{"n2"}},
		"total room is not one volume's":   {offers: []offer{{node: "n1", available: 50, largest: 5}, is("n2", 10)}, want: []string{"n2"}},
		"who has it is the only one":       {preferred: []string{"n1"}, offers: []offer{is("n1", 50), {node: "n2", exists: true}}, want: []string{"n2"}},
		"two have it: the preferred":       {preferred: []string{"n2"}, offers: []offer{{node: "n1", exists: true}, {node: "n2", exists: true}}, want: []string{"n2"}},
		"silent ones are left out":         {offers: []offer{silent, is("n1", 20), wrong}, want: []string{"n1"}},
		"all silent":                       {offers: []offer{gone, silent}, code: codes.Unavailable},
		"wrong request before silent ones": {offers: []offer{silent, wrong}, code: codes.InvalidArgument},
		"all gone":                         {offers: []offer{gone}, code: codes.ResourceExhausted},
		"no agents":                        {code: codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := order(where{preferred: c.preferred, anywhere: true}, c.offers, 10)
			if status.Code(err) != c.code || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v; want %v, %v", got, err, c.want, c.code)
			}
		})
	}
}

func TestAttemptsStayWithTheNodeThatDidNotSettle(t *testing.T) {
	var a attempts
	start := time.Unix(0, 0)
	steps := []struct {
		name    string
		at      time.Duration
		node    string // expected by begin
		busy    bool
		send    string
		settled bool
	}{
		{name: "x", send: "n1"},
		{name: "x", node: "n1", send: "n1"},
		{name: "y", settled: true, send: "n2"},
		{name: "y", send: ""},
		{name: "x", node: "n1", send: "n1", settled: true},
		{name: "x", send: "n3"},
		{name: "z", at: 2 * forgotten, send: ""},
		{name: "x", at: 2 * forgotten, node: "", send: ""},
	}
	for i, s := range steps {
		node, ok := a.begin(s.name, start.Add(s.at))
		if !ok || node != s.node {
			t.Fatalf("step %d: begin(%s) = %q, %v; want %q", i, s.name, node, ok, s.node)
		}
		if _, ok := a.begin(s.name, start.Add(s.at)); ok {
			t.Fatalf("step %d: two calls for %s at a time", i, s.name)
		}
		if s.send != "" {
			a.sent(s.name, s.send)
		}
		a.end(s.name, s.settled)
	}
	if len(a.byName) != 0 {
		t.Errorf("left behind: %v", a.byName)
	}
}

func TestMergeTakesWholePagesInOrder(t *testing.T) {
	places := []position{{"n1", ""}, {"n2", "t"}, {"n3", ""}}
	pages := func(sizes ...int) []page[int] {
		var all []page[int]
		n := 0
		for _, size := range sizes {
			var p page[int]
			for range size {
				n++
				p.entries = append(p.entries, n)
			}
			all = append(all, p)
		}
		return all
	}
	more := pages(1, 2, 1)
	more[1].next = "u"
	for name, c := range map[string]struct {
		pages []page[int]
		room  int
		taken int
		rest  []position
	}{
		"all fit":                 {pages(2, 2, 2), 6, 6, nil},
		"the last does not":       {pages(2, 2, 2), 5, 4, places[2:]},
		"only the first":          {pages(3, 1, 1), 3, 3, places[1:]},
		"empty ones cost nothing": {pages(0, 3, 0), 3, 3, nil},
		"one has more":            {more, 9, 3, []position{{"n2", "u"}, {"n3", ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			taken, rest := merge(places, c.pages, c.room)
			if len(taken) != c.taken || !slices.IsSorted(taken) || len(rest) != len(c.rest) || len(rest) > 0 && !reflect.DeepEqual(rest, c.rest) {
				t.Errorf("took %v, rest %v; want %d and %v", taken, rest, c.taken, c.rest)
			}
		})
	}
}

func TestListsGoOnWhereTheyWereThoughNodesComeAndGo(t *testing.T) {
	for _, c := range []struct {
		from  position
		nodes []string
		want  []position
	}{
		{position{}, []string{"n1", "n2"}, []position{{"n1", ""}, {"n2", ""}}},
		{position{"n2", "t"}, []string{"n1", "n2", "n3"}, []position{{"n2", "t"}, {"n3", ""}}},
		{position{"n2", "t"}, []string{"n1", "n3"}, []position{{"n3", ""}}},
		{position{"n2", "t"}, []string{"n1"}, nil},
	} {
		if got := remaining(c.nodes, c.from); !reflect.DeepEqual(got, c.want) {
			t.Errorf("from %v among %v: %v, want %v", c.from, c.nodes, got, c.want)
		}
	}
}

func TestTokensAreReadStrictly(t *testing.T) {
	for _, good := range []position{{}, {"n1", ""}, {"n1", "n1/pvc-1"}, {"n1", ":x:"}} {
		if got, err := parsePosition(good.String()); err != nil || got != good {
			t.Errorf("%+v came back as %+v, %v", good, got, err)
		}
	}
	for _, bad := range []string{"n1", ":", ":x", "-n:x", "a b:x", "n1:" + strings.Repeat("x", maxToken)} {
		_, err := parsePosition(bad)
		wantCode(t, err, codes.Aborted, "starting_token")
	}
}

func FuzzPosition(f *testing.F) {
	f.Add("")
	f.Add("n1:n1/pvc-1")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := parsePosition(token)
		if err == nil && (p.String() != token || len(token) > maxToken) {
			t.Errorf("%q was read as %+v", token, p)
		}
	})
}

func TestTotalCapacity(t *testing.T) {
	has := func(sum, largest int64) share {
		return share{answer: &csi.GetCapacityResponse{AvailableCapacity: sum, MaximumVolumeSize: wrapperspb.Int64(largest), MinimumVolumeSize: wrapperspb.Int64(4)}}
	}
	wrong, away := share{err: status.Error(codes.InvalidArgument, "no such pool")}, share{err: status.Error(codes.Unavailable, "away")}
	for _, c := range []struct {
		shares       []share
		sum, largest int64
		code         codes.Code
	}{
		{nil, 0, 0, codes.OK},
		{[]share{has(5, 3), has(7, 4)}, 12, 4, codes.OK},
		{[]share{has(5, 3), wrong, {err: goneError{"n1"}}}, 5, 3, codes.OK},
		{[]share{wrong, wrong}, 0, 0, codes.InvalidArgument},
		{[]share{has(5, 3), away}, 0, 0, codes.Unavailable},
	} {
		got, err := total(c.shares)
		if status.Code(err) != c.code || got.GetAvailableCapacity() != c.sum || got.GetMaximumVolumeSize().GetValue() != c.largest {
			t.Errorf("%v: %v, %v; want %d, %d, %v", c.shares, got, err, c.sum, c.largest, c.code)
		}
	}
}

func TestNodesOfIDs(t *testing.T) {
	for _, c := range []struct {
		ids  []string
		want []string
	}{
		{[]string{"", ""}, []string{"n1", "n2"}},
		{[]string{"n2/snap-x", ""}, []string{"n2"}},
		{[]string{"", "n3/x"}, []string{"n3"}},
		{[]string{"n1/snap-x", "n1/x"}, []string{"n1"}},
		{[]string{"n1/snap-x", "n2/x"}, nil},
		{[]string{"nonsense", ""}, nil},
	} {
		if got := nodesOf([]string{"n1", "n2"}, c.ids...); !slices.Equal(got, c.want) {
			t.Errorf("IDs %q: nodes %v, want %v", c.ids, got, c.want)
		}
	}
}

func TestOnlyAnswersThatWereDecidedBeforeActingSettle(t *testing.T) {
	for code := range codes.Code(17) {
		want := slices.Contains([]codes.Code{
			codes.OK, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.ResourceExhausted, codes.OutOfRange,
		}, code)
		if settles(code) != want {
			t.Errorf("settles(%v) = %v", code, !want)
		}
	}
	if status.Code(errors.New("x")) != codes.Unknown || settles(codes.Unknown) {
		t.Error("an error without a code settles a creation, " + strconv.Quote("Unknown"))
	}
}
