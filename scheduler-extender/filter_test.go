package extender

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/volume"
)

func TestAPodGoesWhereAllItsClaimsFitTogether(t *testing.T) {
	w := newWorld(t)
	for node, gib := range map[string]int{"a": 10, "b": 15, "c": 30} {
		room := fmt.Sprintf("fast %d", gib)
		w.offer(node, "fast", room)
		w.offer(node, "fast-xfs", room)
	}
	w.claim("data", "fast", 10)
	w.claim("wal", "fast-xfs", 10)
	w.claim("large", "fast", 20)
	w.claim("huge", "fast", 99)
	w.claim("disks", "slow", 1)
	w.expect("one claim", pod("p", "data"), "a b c", "a b c")
	w.expect("two of two classes that share a pool", pod("p", "data", "wal"), "a b c", "c",
		`2 pool fast has too little room for claims "data", "wal" together (20 GiB)`)
	w.expect("named twice is asked for once", pod("p", "data", "data"), "a", "a")
	w.expect("one that is large", pod("p", "large"), "a b c", "c", `2 pool fast cannot give a volume as large as claim "large" asks for (20 GiB)`)
	w.expect("one that is too large", pod("p", "huge"), "a b c", "", `3 pool fast cannot give a volume as large as claim "huge" asks for (99 GiB)`)
	w.expect("a class that exists on no node", pod("p", "data", "disks"), "a b c", "", `3 no pool there for StorageClass slow`)
	w.expect("a node without an agent", pod("p", "data"), "a x", "a", `1 no agent of Loam tells what is free there`)
	w.expect("no nodes", pod("p", "data"), "", "")
}

func TestSizesAreRoundedUpToExtents(t *testing.T) {
	w := newWorld(t)
	w.offer("a", "fast", "fast 1")
	for i := range 4 {
		name := fmt.Sprint("c", i)
		w.Change(func(c *Change) { c.SetClaim("ns/"+name, Claim{UID: name, Class: "fast", Size: 255*lvm.MiB + 1}) })
	}
	w.expect("four claims of a byte more than 255 MiB", pod("p", "c0", "c1", "c2", "c3"), "a", "a")
	w.Change(func(c *Change) { c.SetClaim("ns/c0", Claim{UID: "c0", Class: "fast", Size: 256*lvm.MiB + 1}) })
	w.expect("and one of them an extent larger", pod("p", "c0", "c1", "c2", "c3"), "a", "",
		`1 pool fast has too little room for claims "c0", "c1", "c2" and 1 more together (1021 MiB)`)
}

func TestWhereNoPoolIsNamedAgentsTakeTheOneWithMostRoom(t *testing.T) {
	w := newWorld(t)
	w.offer("a", "any", "fast 10", "slow 8")
	w.offer("a", "fast", "fast 10")
	for _, name := range []string{"six", "seven", "five"} {
		w.claim(name, "any", map[string]lvm.Bytes{"five": 5, "six": 6, "seven": 7}[name])
	}
	w.claim("fast", "fast", 4)
	w.expect("one in each pool", pod("p", "six", "seven"), "a", "a")
	w.expect("three do not go into two pools", pod("p", "six", "seven", "five"), "a", "",
		`1 every pool of the node has too little room for claims "seven", "six", "five" together (18 GiB)`)
	w.expect("a pool that is shared with a class of its own", pod("p", "six", "fast"), "a", "a")
	w.claim("six", "any", 6, on("a"))
	w.expect("the one on its way is in the larger pool", pod("p", "seven"), "a", "a")
	w.expect("and may be in the other's", pod("p", "fast"), "a", "a")
	w.claim("seven", "any", 7, on("a"))
	w.expect("both pools are taken", pod("p", "five"), "a", "", `1 every pool of the node has too little room for claim "five" (5 GiB), beside what is being made there`)
}

func TestClaimsLeaveTheirNode(t *testing.T) {
	w := newWorld(t)
	for _, node := range []string{"a", "b"} {
		w.offer(node, "fast", "fast 10")
	}
	w.volume("data", "b", 5)
	w.claim("data", "fast", 5, bound("pvc-data"))
	w.claim("wal", "fast", 5)
	w.claim("chosen", "fast", 5, on("a"))
	w.claim("theirs", "other", 5)
	w.claim("theirs-bound", "other", 5, bound("pvc-elsewhere"))
	w.claim("lost", "fast", 5, bound("pvc-lost"))
	w.claim("at-once", "at-once", 5)
	w.expect("a bound claim", pod("p", "data"), "a b x", "b", `2 claim "data" has its volume on node b`)
	w.expect("a bound claim and a new one", pod("p", "data", "wal"), "a b", "b", `1 claim "data" has its volume on node b`)
	w.expect("a chosen node", pod("p", "chosen"), "a b", "a", `1 claim "chosen" is being made on node a`)
	w.expect("two nodes", pod("p", "data", "chosen"), "a b", "",
		`1 claim "chosen" is being made on node a`, `1 claim "data" has its volume on node b`)
	w.expect("others' claims", pod("p", "theirs", "theirs-bound"), "a b x", "a b x")
	w.expect("no claims", pod("p"), "a b x", "a b x")
	w.expect("a claim that is not there", pod("p", "none"), "a b", "", `2 claim "none" does not exist, or not yet`)
	w.expect("a volume that is not there", pod("p", "lost"), "a b", "", `2 claim "lost" is bound to PersistentVolume pvc-lost, which does not exist, or not yet`)
	w.expect("a class that waits for no pod", pod("p", "at-once"), "a b", "", `2 claim "at-once" has no volume yet, and StorageClass at-once does not wait for a pod to make one`)
}

func TestCopiesAreMadeWhereTheirSourceIs(t *testing.T) {
	w := newWorld(t)
	for _, node := range []string{"a", "b"} {
		w.offer(node, "fast", "fast 10")
	}
	w.volume("data", "a", 5)
	w.claim("data", "fast", 5, bound("pvc-data"))
	w.claim("fresh", "fast", 5)
	w.claim("restored", "fast", 5, from("VolumeSnapshot", "snap"))
	w.claim("clone", "fast", 5, from("PersistentVolumeClaim", "data"))
	w.claim("clone-of-nothing", "fast", 5, from("PersistentVolumeClaim", "fresh"))
	w.expect("before there is a snapshot", pod("p", "restored"), "a b", "", `2 claim "restored" is made from snapshot "snap", which is not there, not ready, or not one of Loam's`)
	w.Change(func(c *Change) { c.SetSnapshot("ns/snap", ""); c.SetContent("content", "b") })
	w.expect("before it is ready", pod("p", "restored"), "a b", "", `2 claim "restored" is made from snapshot "snap", which is not there, not ready, or not one of Loam's`)
	w.Change(func(c *Change) { c.SetSnapshot("ns/snap", "content") })
	w.expect("a snapshot", pod("p", "restored"), "a b", "b", `1 claim "restored" is made from snapshot "snap", which is on node b`)
	w.expect("a clone", pod("p", "clone"), "a b", "a", `1 claim "clone" is made from claim "data", whose volume is on node a`)
	w.expect("of two nodes", pod("p", "clone", "restored"), "a b", "",
		`1 claim "clone" is made from claim "data", whose volume is on node a`, `1 claim "restored" is made from snapshot "snap", which is on node b`)
	w.expect("a clone of what is not there", pod("p", "clone-of-nothing"), "a b", "", `2 claim "clone-of-nothing" is made from claim "fresh", which has no volume of Loam's`)
	w.offer("b", "fast", "fast 4")
	w.expect("no room beside the snapshot", pod("p", "restored"), "a b", "",
		`1 claim "restored" is made from snapshot "snap", which is on node b`, `1 pool fast cannot give a volume as large as claim "restored" asks for (5 GiB)`)
	w.Change(func(c *Change) { c.RemoveSnapshot("ns/snap"); c.RemoveContent("content") })
	w.expect("the snapshot is gone", pod("p", "restored"), "a", "", `1 claim "restored" is made from snapshot "snap", which is not there, not ready, or not one of Loam's`)
}

// The life of a claim, seen by a second one that needs the same room.
func TestAClaimIsCountedOnceFromItsChoiceUntilItIsPublished(t *testing.T) {
	const full = `1 pool fast has too little room for claim "second" (6 GiB), beside what is being made there`
	w := newWorld(t)
	second := pod("second", "second")
	w.offer("a", "fast", "fast 10")
	w.claim("first", "fast", 5)
	w.claim("second", "fast", 6)
	w.expect("nobody asked", second, "a", "a")
	w.claim("first", "fast", 5, on("a"))
	w.expect("its node was chosen", second, "a", "", full)
	w.claim("first", "fast", 5)
	w.expect("its node was taken back", second, "a", "a")
	w.claim("first", "fast", 5, on("a"))
	w.offer("a", "fast", "fast 9")
	w.expect("something else was published", second, "a", "", full)
	w.offer("a", "fast", "fast 5 pvc-first")
	w.claim("second", "fast", 5)
	w.expect("it is published before its volume is known", second, "a", "a")
	w.offer("a", "fast", "fast 10")
	w.claim("second", "fast", 6)
	w.claim("first", "fast", 5, on("a"), bound("pvc-first"))
	w.expect("it is bound before its volume is known", second, "a", "", full)
	w.volume("first", "a", 5)
	w.expect("its volume is there and not published", second, "a", "", full)
	w.claim("second", "fast", 5)
	w.expect("and is counted once", second, "a", "a")
	w.offer("a", "fast", "fast 5 pvc-first")
	w.expect("its volume is published", second, "a", "a")
	w.Change(func(c *Change) { c.RemoveClaim("ns/first"); c.RemoveVolume("pvc-first") })
	w.offer("a", "fast", "fast 10")
	w.expect("it is gone", second, "a", "a")
}

func TestAfterARestartWhatIsOnItsWayIsCounted(t *testing.T) {
	for _, ready := range []string{"first", "last"} {
		w := &world{NewIndex(), t}
		if ready == "first" {
			w.Ready()
		}
		w.claim("chosen", "fast", 3, on("a"))
		w.claim("bound", "fast", 3, on("a"), bound("pvc-bound"))
		w.claim("old", "fast", 3, on("a"), bound("pvc-old"))
		w.claim("new", "fast", 5)
		w.volume("bound", "a", 3)
		w.volume("old", "a", 3)
		w.offer("a", "fast", "fast 10 pvc-old")
		w.Change(func(c *Change) { c.SetClass("fast", Class{Pool: "fast", Waits: true}) })
		if ready == "last" {
			w.Ready()
		}
		w.expect("ready "+ready, pod("p", "new"), "a", "", `1 pool fast has too little room for claim "new" (5 GiB), beside what is being made there`)
		w.claim("new", "fast", 4)
		w.expect("ready "+ready, pod("p", "new"), "a", "a")
	}
}

func TestANodesIDMayDifferFromItsName(t *testing.T) {
	w := newWorld(t)
	w.claim("early", "fast", 5, on("a.example"))
	w.volume("data", "a", 5)
	w.claim("data", "fast", 5, bound("pvc-data"))
	w.claim("new", "fast", 6)
	offer := Offer{Node: "a.example", ID: "a", Class: "fast", Capacity: 10 * lvm.GiB, Largest: 10 * lvm.GiB}
	w.Change(func(c *Change) { c.SetOffer("o", offer) })
	w.expect("a volume pins by the node's name", pod("p", "data"), "a a.example", "a.example", `1 claim "data" has its volume on node a.example`)
	w.expect("a claim that chose it earlier counts", pod("p", "new"), "a.example", "", `1 pool fast has too little room for claim "new" (6 GiB), beside what is being made there`)
	w.Change(func(c *Change) { c.RemoveClaim("ns/early") })
	w.expect("and is released", pod("p", "new"), "a.example", "a.example")
}

func TestAnAgentThatSaysNoDetailIsBelieved(t *testing.T) {
	w := newWorld(t)
	w.Change(func(c *Change) {
		c.SetOffer("o", Offer{Node: "a", ID: "a", Class: "fast", Capacity: 10 * lvm.GiB, Largest: 8 * lvm.GiB})
	})
	w.claim("nine", "fast", 9)
	w.claim("eight", "fast", 8)
	w.expect("a volume that is too large", pod("p", "nine"), "a", "", `1 pool fast cannot give a volume as large as claim "nine" asks for (9 GiB)`)
	w.volume("made", "a", 5)
	w.expect("what is made is counted", pod("p", "eight"), "a", "a")
	w.claim("chosen", "fast", 3, on("a"))
	w.expect("what is on its way is not", pod("p", "eight"), "a", "", `1 pool fast has too little room for claim "eight" (8 GiB), beside what is being made there`)
}

func TestNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.claim("c", "fast", 5)
		for round := range 3 * pageSize {
			name := fmt.Sprint("n", round)
			w.offer(name, "fast", "fast 10")
			w.expect("there", pod("p", "c"), name, name)
			w.Change(func(c *Change) { c.RemoveOffer(name + "/fast") })
			w.expect("gone", pod("p", "c"), name, "", `1 no agent of Loam tells what is free there`)
			time.Sleep(time.Minute)
		}
		if w.slots > 4 {
			t.Errorf("%d slots for one node at a time, want them used again", w.slots)
		}
		w.volume("v", "a", 1)
		w.expect("a node with volumes and no pool", pod("p", "c"), "a", "", `1 no pool there for StorageClass fast`)
	})
}

func TestAPodInPlacementHasItsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.offer("a", "fast", "fast 10")
		w.claim("c1", "fast", 6)
		w.claim("c2", "fast", 6)
		const contested = "1 the room there may be taken by other pods that are being placed just now"
		ask := func(when, name, fit string, why ...string) {
			t.Helper()
			got, reasons := w.where(pod(name, "c"+name), "a")
			if got != fit || strings.Join(reasons, ";") != strings.Join(why, ";") {
				t.Errorf("%s: %q, %q, want %q, %q", when, got, reasons, fit, why)
			}
		}
		ask("the first", "1", "a")
		ask("the first again", "1", "a")
		ask("the second", "2", "", contested)
		w.claim("c1", "fast", 6, on("a"))
		ask("the first is decided", "2", "", `1 pool fast has too little room for claim "c2" (6 GiB), beside what is being made there`)
		w.claim("c1", "fast", 6)
		ask("the first was taken back", "2", "a")
		ask("the first, then", "1", "", contested)
		w.Change(func(c *Change) { c.PodLeft("uid-2") })
		time.Sleep(leavingLife - time.Second)
		ask("its pod has just been deleted", "1", "", contested)
		time.Sleep(time.Second)
		ask("and is gone for good", "1", "a")
		time.Sleep(placingLife - time.Second)
		ask("nobody hears of the first", "2", "", contested)
		time.Sleep(time.Second)
		ask("any more", "2", "a")
		w.Change(func(c *Change) { c.RemoveClaim("ns/c2") })
		ask("the claim has gone", "1", "a")
	})
}

// kube-scheduler writes the node that it chose while it asks about the next pod, which had better wait than be refused.
func TestFilterWaitsForAChoiceThatIsBeingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.offer("a", "fast", "fast 10")
		w.offer("b", "fast", "fast 10")
		w.claim("c1", "fast", 6)
		w.claim("c2", "fast", 6)
		w.where(pod("1", "c1"), "a", "b")
		begun := time.Now()
		time.AfterFunc(20*time.Millisecond, func() { w.claim("c1", "fast", 6, on("a")) })
		if fit, why := w.where(pod("2", "c2"), "a", "b"); fit != "b" || time.Since(begun) != 20*time.Millisecond {
			t.Errorf("fits on %q after %v (%q), want b as soon as a was chosen for the other", fit, time.Since(begun), why)
		}
		begun = time.Now()
		w.claim("c3", "fast", 6)
		w.claim("c2", "fast", 6) // still undecided
		if fit, _ := w.where(pod("3", "c3"), "a", "b"); fit != "" || time.Since(begun) != patience {
			t.Errorf("fits on %q after %v, want nowhere after %v", fit, time.Since(begun), patience)
		}
		begun = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if a := w.Filter(ctx, pod("3", "c3"), []string{"a", "b"}); len(a.Fits) > 0 || time.Since(begun) > time.Millisecond {
			t.Errorf("fits on %v after %v, want it to end with its caller", a.Fits, time.Since(begun))
		}
	})
}

func TestOnceANodeIsChosenForOneClaimItIsForAll(t *testing.T) {
	w := newWorld(t)
	for _, node := range []string{"a", "b"} {
		w.offer(node, "fast", "fast 10")
	}
	w.claim("c1", "fast", 3)
	w.claim("c2", "fast", 3)
	w.claim("other", "fast", 6)
	w.where(pod("p", "c1", "c2"), "a", "b")
	w.claim("c1", "fast", 3, on("b"))
	if fit, _ := w.where(pod("o", "other"), "a", "b"); fit != "a" {
		t.Errorf("fits on %q, want a alone: the second claim goes where the first does", fit)
	}
}

// A burst would fill the cluster if each pod in placement were counted wherever it fits.
func TestABurstIsToldFewerNodesEach(t *testing.T) {
	synctest.Test(t, burst) // those that have to wait do so for no time
}

func burst(t *testing.T) {
	w := newWorld(t)
	var nodes []string
	for i := range 10 {
		nodes = append(nodes, fmt.Sprint("n", i))
		w.offer(nodes[i], "fast", "fast 10")
	}
	told, total := []int{}, 0
	for i := range 100 {
		name := fmt.Sprint("c", i)
		w.claim(name, "fast", 1)
		fit, why := w.where(pod(name, name), nodes...)
		told = append(told, len(strings.Fields(fit)))
		if total += told[i]; i < 60 && fit == "" {
			t.Fatalf("pod %d of 100 fits nowhere (%q) though there is room for it: told %v", i, why, told)
		}
	}
	if told[0] != 10 || told[1] != 5 || told[50] != 1 {
		t.Errorf("told %v nodes, want 10 for the first, half for the next, one in the end", told)
	}
	for i := range 100 { // nothing is ever told twice
		name := fmt.Sprint("c", i)
		w.claim(name, "fast", 1, on(nodes[i%10]))
	}
	w.claim("last", "fast", 1)
	w.expect("100 claims of 1 GiB in 100 GiB", pod("last", "last"), strings.Join(nodes, " "), "",
		`10 pool fast has too little room for claim "last" (1 GiB), beside what is being made there`)
	if n := w.placing.inPlacement(); n != 0 {
		t.Errorf("%d pods in placement, want none", n)
	}
}

func TestNothingIsLeftMarkedWhenAllIsSettled(t *testing.T) {
	w := newWorld(t)
	w.offer("a", "any", "fast 10", "slow 10")
	w.offer("b", "fast", "fast 10")
	w.claim("c1", "any", 1)
	w.claim("c2", "fast", 1)
	for _, p := range []Pod{pod("1", "c1"), pod("2", "c2"), pod("1", "c1"), pod("3", "c1")} {
		w.where(p, "a", "b")
		w.Prioritize(p, []string{"a", "b"})
	}
	w.claim("c1", "any", 1, on("a"))
	w.Change(func(c *Change) { c.RemoveClaim("ns/c2") })
	for pool, of := range w.placing.marks {
		for slot, bytes := range of {
			if bytes != 0 {
				t.Errorf("pool %d, slot %d: %v marked, want none", pool, slot, bytes)
			}
		}
	}
}

func TestAVolumeOnAnotherNodeThanItsClaimsIsBelieved(t *testing.T) {
	w := newWorld(t)
	w.offer("a", "fast", "fast 10")
	w.offer("b", "fast", "fast 10")
	w.claim("c", "fast", 6, on("a"))
	w.claim("d", "fast", 6)
	w.Change(func(c *Change) {
		c.SetVolume("pvc-c", Volume{volume.ID{Node: "b", LV: "pvc-c"}, "fast", 6 * lvm.GiB}, "ns/c")
	})
	w.claim("c", "fast", 6, on("a"), bound("pvc-c"))
	w.expect("it is on b", pod("p", "d"), "a b", "a", `1 pool fast has too little room for claim "d" (6 GiB), beside what is being made there`)
}
