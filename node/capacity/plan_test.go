package capacity

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/csi"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/published"
)

var (
	self  = identity{node: "node-1", nodeObject: "node-1.example", uid: "uid-1", namespace: "loam-system"}
	other = identity{node: "node-2", nodeObject: "node-2.example", uid: "uid-2", namespace: "loam-system"}
)

// class of ours, for that pool; "" for none.
func class(name, of string) *storagev1.StorageClass {
	c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner}
	if of != "" {
		c.Parameters = map[string]string{parameterPool: of}
	}
	return c
}

func restricted(c *storagev1.StorageClass, key string, values ...string) *storagev1.StorageClass {
	c.AllowedTopologies = append(c.AllowedTopologies, corev1.TopologySelectorTerm{
		MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: key, Values: values}},
	})
	return c
}

func of(provisioner string, c *storagev1.StorageClass) *storagev1.StorageClass {
	c.Provisioner = provisioner
	return c
}

// gib is a pool of 100 GiB with that much left, in GiB.
func gib(available lvm.Bytes) pool.Room {
	return pool.Room{Size: 100 * lvm.GiB, Available: available * lvm.GiB, Largest: available * lvm.GiB, Extent: 4 * lvm.MiB}
}

// saying is what to say of the pool fast, which has that much in all.
func saying(capacity, largest lvm.Bytes, volumes ...string) offer {
	return offer{figures: figures{capacity, largest}, pools: published.Pools{"fast": {Available: capacity, Extent: 4 * lvm.MiB, Volumes: published.Of(volumes)}}}
}

// says is this node's object for a class with those figures, in GiB, changed by each of change.
func says(name string, capacity, largest lvm.Bytes, change ...func(*storagev1.CSIStorageCapacity)) *storagev1.CSIStorageCapacity {
	o := self.object(name, saying(capacity*lvm.GiB, largest*lvm.GiB))
	for _, c := range change {
		c(o)
	}
	return o
}

func being(deleted bool) func(*storagev1.CSIStorageCapacity) {
	return func(o *storagev1.CSIStorageCapacity) {
		if deleted {
			o.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}
	}
}

// words are the steps of a plan, in order of their names within each kind.
func words(s steps) string {
	var all []string
	for verb, objects := range map[string][]*storagev1.CSIStorageCapacity{"create": s.create, "update": s.update, "remove": s.remove} {
		for _, o := range objects {
			w := verb + " " + o.StorageClassName
			if verb != "remove" {
				w += fmt.Sprintf(" %v/%v", o.Capacity, o.MaximumVolumeSize)
			}
			all = append(all, w)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func TestPlanWritesWhatDiffers(t *testing.T) {
	type rooms = map[string]pool.Room
	type classes = []*storagev1.StorageClass
	type objects = []*storagev1.CSIStorageCapacity
	full := rooms{"fast": gib(90)}
	fast := classes{class("fast", "fast")}
	for _, c := range []struct {
		name     string
		classes  classes
		rooms    rooms
		existing objects
		want     string
	}{
		{"nothing there yet", fast, full, nil, "create fast 90Gi/90Gi"},
		{"nothing changed", fast, full, objects{says("fast", 90, 90)}, ""},
		{"less", fast, rooms{"fast": gib(50)}, objects{says("fast", 90, 90)}, "update fast 50Gi/50Gi"},
		{"more waits", fast, full, objects{says("fast", 50, 50)}, ""},
		{"nothing left", fast, rooms{"fast": gib(0)}, objects{says("fast", 90, 90)}, "update fast 0/0"},
		{"nothing left from the start", fast, rooms{"fast": gib(0)}, nil, "create fast 0/0"},
		{"less of the largest only", fast, rooms{"fast": {Size: 100 * lvm.GiB, Available: 90 * lvm.GiB, Largest: 10 * lvm.GiB}}, objects{says("fast", 90, 90)}, "update fast 90Gi/10Gi"},

		{"another class", append(classes{class("fast-xfs", "fast")}, fast...), full, objects{says("fast", 90, 90)}, "create fast-xfs 90Gi/90Gi"},
		{"the class is gone", nil, full, objects{says("fast", 90, 90)}, "remove fast"},
		{"the pool is gone", fast, rooms{"slow": gib(10)}, objects{says("fast", 90, 90)}, "remove fast"},
		{"no pools", classes{class("any", "")}, nil, objects{says("any", 90, 90)}, "remove any"},
		{"a pool that this node never had", classes{class("bulk", "bulk")}, full, nil, ""},
		{"another provisioner's class", classes{of("example.com", class("fast", "fast"))}, full, nil, ""},
		{"the class is another provisioner's now", classes{of("example.com", class("fast", "fast"))}, full, objects{says("fast", 90, 90)}, "remove fast"},
		{"no pool named: all of them, a volume in one", classes{class("any", "")}, rooms{"fast": gib(90), "slow": gib(40)}, nil, "create any 130Gi/90Gi"},
		{"the volume group is not there", fast, rooms{"fast": {Problem: "none"}}, nil, ""},
		{"the volume group is not there any more", fast, rooms{"fast": {Problem: "none"}}, objects{says("fast", 90, 90)}, "update fast 0/0"},

		{"allowed here", classes{restricted(class("fast", "fast"), labelNode, "node-0", "node-1")}, full, nil, "create fast 90Gi/90Gi"},
		{"allowed elsewhere", classes{restricted(class("fast", "fast"), labelNode, "node-2")}, full, objects{says("fast", 90, 90)}, "remove fast"},
		{"allowed elsewhere or here", classes{restricted(restricted(class("fast", "fast"), labelNode, "node-2"), labelNode, "node-1")}, full, nil, "create fast 90Gi/90Gi"},
		{"allowed in a zone", classes{restricted(class("fast", "fast"), "topology.kubernetes.io/zone", "a")}, full, nil, "create fast 90Gi/90Gi"},

		{"somebody said more", fast, full, objects{says("fast", 99, 99)}, "update fast 90Gi/90Gi"},
		{"somebody removed a figure", fast, full, objects{says("fast", 80, 80, func(o *storagev1.CSIStorageCapacity) { o.Capacity = nil })}, "update fast 90Gi/90Gi"},
		{"somebody removed the owner", fast, full, objects{says("fast", 90, 90, func(o *storagev1.CSIStorageCapacity) { o.OwnerReferences = nil })}, "update fast 90Gi/90Gi"},
		{"the node is another", fast, full, objects{says("fast", 90, 90, func(o *storagev1.CSIStorageCapacity) { o.OwnerReferences[0].UID = "uid-0" })}, "update fast 90Gi/90Gi"},
		{"a correction raises nothing before its time", fast, full, objects{says("fast", 50, 50, func(o *storagev1.CSIStorageCapacity) { o.OwnerReferences = nil })}, "update fast 50Gi/50Gi"},
		{"somebody added a label", fast, full, objects{says("fast", 90, 90, func(o *storagev1.CSIStorageCapacity) { o.Labels["team"] = "a" })}, ""},
		{"another topology cannot be corrected", fast, full, objects{says("fast", 90, 90, func(o *storagev1.CSIStorageCapacity) { o.NodeTopology = nil })}, "remove fast"},
		{"another class's object in its place", fast, full, objects{says("fast", 90, 90, func(o *storagev1.CSIStorageCapacity) { o.StorageClassName = "x" })}, "remove x"},
		{"a copy by another name", fast, full, objects{says("fast", 90, 90), says("fast", 90, 90, func(o *storagev1.CSIStorageCapacity) { o.Name = "copy" })}, "remove fast"},
		{"on its way out", fast, rooms{"fast": gib(50)}, objects{says("fast", 90, 90, being(true))}, ""},
		{"on its way out, as it should", nil, full, objects{says("fast", 90, 90, being(true))}, ""},
		{"another node's", fast, full, objects{says("fast", 90, 90), other.object("fast", saying(1, 1)), other.object("slow", saying(1, 1))}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := plan(world{identity: self, classes: c.classes, rooms: c.rooms, existing: c.existing, hold: DefaultHold, now: time.Unix(1000, 0)})
			if words(got) != c.want {
				t.Errorf("%q, want %q", words(got), c.want)
			}
		})
	}
}

// What is said of the pools in detail may be older than the figures, never more than there is.
func TestPlanWritesDetailThatWouldPromiseTooMuch(t *testing.T) {
	room := func(available lvm.Bytes, volumes ...pool.Held) map[string]pool.Room {
		return map[string]pool.Room{"fast": {Size: 100 * lvm.GiB, Available: available, Largest: available, Extent: 4 * lvm.MiB, Volumes: volumes}}
	}
	old, claimed := pool.Held{LV: "old", Size: lvm.GiB, Claimed: true}, pool.Held{LV: "new", Size: 100 * lvm.MiB, Claimed: true}
	unclaimed := pool.Held{LV: "new", Size: 100 * lvm.MiB}
	exactly := 90*lvm.GiB + 500*lvm.MiB // and 90 GiB is what the figures say
	for _, c := range []struct {
		name  string
		now   map[string]pool.Room
		wants string
	}{
		{"nothing new", room(exactly, old), ""},
		{"a claim's volume, which readers know of", room(exactly-100*lvm.MiB, old, claimed), ""},
		{"a claim's volume that takes more than its size", room(exactly-200*lvm.MiB, old, claimed), "update fast 90Gi/90Gi"},
		{"a volume that no claim names", room(exactly-100*lvm.MiB, old, unclaimed), "update fast 90Gi/90Gi"},
		{"a snapshot, or a volume that grew", room(exactly-lvm.MiB*4, old), "update fast 90Gi/90Gi"},
		{"a volume is gone: as rare as the figures", room(exactly + 100*lvm.MiB), ""},
	} {
		before := saying(exactly, exactly, "old")
		before.figures = figures{90 * lvm.GiB, 90 * lvm.GiB}
		w := world{
			identity: self, classes: []*storagev1.StorageClass{class("fast", "fast")}, rooms: c.now, hold: DefaultHold, now: time.Unix(1000, 0),
			existing: []*storagev1.CSIStorageCapacity{self.object("fast", before)},
		}
		s := plan(w)
		if words(s) != c.wants {
			t.Errorf("%s: %q, want %q", c.name, words(s), c.wants)
		}
		for _, o := range s.update {
			if says, err := published.Parse(o.Annotations[published.Annotation]); err != nil || says["fast"].Available != c.now["fast"].Available {
				t.Errorf("%s: says %v, %v; want %v", c.name, says, err, c.now["fast"].Available)
			}
		}
	}
}

func TestDetailSaysWhichVolumesItCounts(t *testing.T) {
	w := world{
		identity: self, classes: []*storagev1.StorageClass{class("any", "")}, now: time.Unix(1000, 0),
		rooms: map[string]pool.Room{
			"fast": {Size: 100 * lvm.GiB, Available: 9*lvm.GiB + 4, Extent: 4 * lvm.MiB, Volumes: []pool.Held{{LV: "pvc-1"}}},
			"slow": {Size: 100 * lvm.GiB, Problem: "none"},
		},
	}
	want := published.Pools{"fast": {Available: 9*lvm.GiB + 4, Extent: 4 * lvm.MiB, Volumes: published.Of([]string{"pvc-1"})}, "slow": {}}
	if o := plan(w).create[0]; o.Annotations[published.Annotation] != want.String() {
		t.Errorf("says %s, want %s", o.Annotations[published.Annotation], want)
	}
}

func TestPlanWakesForTheFirstThatIsDue(t *testing.T) {
	now := time.Unix(1000, 0)
	w := world{
		identity: self, rooms: map[string]pool.Room{"fast": gib(90)}, hold: DefaultHold, now: now,
		classes:  []*storagev1.StorageClass{class("a", "fast"), class("b", "fast"), class("c", "fast")},
		existing: []*storagev1.CSIStorageCapacity{says("a", 50, 50), says("b", 50, 50), says("c", 90, 90)},
		raising:  map[string]time.Time{self.name("b"): now.Add(-3 * time.Second), self.name("c"): now.Add(-time.Second)},
	}
	s := plan(w)
	if want := now.Add(2 * time.Second); words(s) != "" || !s.wake.Equal(want) {
		t.Errorf("%q, waking at %v, want nothing and %v", words(s), s.wake, want)
	}
	if _, ok := s.raising[self.name("c")]; ok || len(s.raising) != 2 {
		t.Errorf("raising %v, want a and b alone", s.raising)
	}
	w.raising, w.now = s.raising, s.wake
	if s = plan(w); words(s) != "update b 90Gi/90Gi" {
		t.Errorf("when b is due: %q", words(s))
	}
}

func TestObjectSaysWhoseItIs(t *testing.T) {
	o := self.object("fast", saying(2*lvm.GiB, lvm.GiB))
	if errs := validation.IsDNS1123Label(o.Name); len(errs) > 0 {
		t.Errorf("name %q: %v", o.Name, errs)
	}
	if o.Name != self.name("fast") || o.Name == self.name("slow") || o.Name == other.name("fast") {
		t.Errorf("name %q does not follow from class and node", o.Name)
	}
	if got := o.NodeTopology.MatchLabels[csi.TopologyKey]; got != "node-1" || len(o.NodeTopology.MatchLabels) != 1 {
		t.Errorf("topology %v, want the node that the driver answers with", o.NodeTopology)
	}
	if provisioner != csi.Name {
		t.Errorf("provisioner %s, want the driver's name %s", provisioner, csi.Name)
	}
	owner := metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: "node-1.example", UID: "uid-1"}
	if len(o.OwnerReferences) != 1 || o.OwnerReferences[0] != owner {
		t.Errorf("owners %v, want the Node", o.OwnerReferences)
	}
	if !self.owns(o) || other.owns(o) {
		t.Errorf("labels %v do not say that it is this node's alone", o.Labels)
	}
}
