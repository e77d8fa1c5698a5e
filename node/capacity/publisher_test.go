package capacity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

const oneFast = "pools: [{name: fast, type: thick, reserve: 0%, devices: {paths: [/dev/a]}}]"

// cluster is a publisher at work between a fake API server and pools on a fake LVM. Its clock is the bubble's.
type cluster struct {
	t      *testing.T
	client *fake.Clientset
	lvm    *lvmtest.Fake
	pools  *pool.Pools
	is     *Publisher
	stop   context.CancelFunc
	ended  chan error

	lvmDown, apiDown atomic.Bool
	writes           atomic.Int64 // tried, of capacity objects
}

// inCluster runs a test in a bubble, with the pool "fast" of 100 GiB and a class of that name.
func inCluster(t *testing.T, test func(*cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.start()
		test(c)
		c.stop()
		if err := <-c.ended; err != nil {
			t.Errorf("the publisher ended with %v, want no error for a context that ended", err)
		}
	})
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, lvm: lvmtest.NewFake(map[string]lvm.Bytes{"/dev/a": 100*lvm.GiB + 4*lvm.MiB, "/dev/b": 100*lvm.GiB + 4*lvm.MiB})}
	c.lvm.SetDevices([]string{"/dev/a", "/dev/b"})
	c.lvm.Fail = func(string) error {
		if c.lvmDown.Load() {
			return errors.New("no answer")
		}
		return nil
	}
	c.must(c.lvm.CreateGroup(lvm.CreateGroup{Name: "loam-fast", Devices: []string{"/dev/a"}}))
	c.must(c.lvm.CreateGroup(lvm.CreateGroup{Name: "loam-slow", Devices: []string{"/dev/b"}}))
	c.pools = pool.New(c.lvm, slog.New(slog.DiscardHandler))
	c.configure(oneFast)
	c.client = fake.NewClientset(
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: self.nodeObject, UID: self.uid}},
		class("fast", "fast"), of("example.com", class("theirs", "fast")), other.object("fast", saying(1, 1)),
	)
	c.client.PrependReactor("*", "*", func(a clienttest.Action) (bool, runtime.Object, error) {
		if a.GetResource().Resource == "csistoragecapacities" && a.GetVerb() != "get" && a.GetVerb() != "list" {
			c.writes.Add(1)
		}
		if c.apiDown.Load() {
			return true, nil, apierrors.NewServiceUnavailable("away")
		}
		return false, nil, nil
	})
	return c
}

func (c *cluster) start() {
	ctx, stop := context.WithCancel(context.Background())
	c.stop, c.ended = stop, make(chan error, 1)
	c.is = &Publisher{
		Client: c.client, Pools: c.pools, Node: self.node, NodeObject: self.nodeObject, Namespace: self.namespace,
		Log: slog.New(slog.DiscardHandler),
	}
	go func() { c.ended <- c.is.Run(ctx) }()
	c.after(time.Second)
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// after lets that much time pass, and all that happens in it.
func (c *cluster) after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (c *cluster) configure(text string) {
	c.t.Helper()
	parsed, err := config.Parse("test", []byte(text))
	c.must(err)
	c.pools.Configure(parsed)
}

// make makes a volume as CreateVolume does.
func (c *cluster) make(name string, size lvm.Bytes) {
	c.t.Helper()
	record := volume.Record{Kind: volume.Volume, Name: name, Claim: "ns/" + name}
	c.must(c.lvm.CreateThick(lvm.CreateThick{VG: "loam-fast", Name: name, Size: size, Tags: record.Tags()}))
	c.pools.Note(pool.Volume{Pool: "fast", Group: "loam-fast", LV: lvm.LogicalVolume{Name: name, Size: size}})
}

func (c *cluster) delete(name string) {
	c.t.Helper()
	c.must(c.lvm.Remove("loam-fast", name))
	c.pools.Forget(name)
}

// fast is the object of class fast.
func (c *cluster) fast() *storagev1.CSIStorageCapacity {
	c.t.Helper()
	o, err := c.client.StorageV1().CSIStorageCapacities(self.namespace).Get(context.Background(), self.name("fast"), metav1.GetOptions{})
	c.must(err)
	return o
}

func (c *cluster) edit(o *storagev1.CSIStorageCapacity) {
	c.t.Helper()
	_, err := c.client.StorageV1().CSIStorageCapacities(self.namespace).Update(context.Background(), o, metav1.UpdateOptions{})
	c.must(err)
	c.writes.Add(-1)
}

// published is what this node's objects say: class, capacity, largest.
func (c *cluster) published() string {
	c.t.Helper()
	list, err := c.client.StorageV1().CSIStorageCapacities(self.namespace).List(context.Background(), metav1.ListOptions{})
	c.must(err)
	var all []string
	for _, o := range list.Items {
		if o.NodeTopology.MatchLabels[labelNode] == self.node {
			all = append(all, fmt.Sprintf("%s %v/%v", o.StorageClassName, o.Capacity, o.MaximumVolumeSize))
		}
	}
	return strings.Join(all, ", ")
}

// expect compares what is published, and how many writes were tried since the last time; fewer than none: not looked at.
func (c *cluster) expect(when, published string, writes int64) {
	c.t.Helper()
	if got := c.published(); got != published {
		c.t.Errorf("%s: published is %q, want %q", when, got, published)
	}
	if got := c.writes.Swap(0); writes >= 0 && got != writes {
		c.t.Errorf("%s: %d writes, want %d", when, got, writes)
	}
}

func TestDecreasesAreWrittenAtOnceAndIncreasesAfterTheHold(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.expect("at the start", "fast 100Gi/100Gi", 1)
		c.make("a", 10*lvm.GiB)
		c.after(2 * gather)
		c.expect("after a volume", "fast 90Gi/90Gi", 1)
		c.delete("a")
		c.after(DefaultHold - gather)
		c.expect("while the hold lasts", "fast 90Gi/90Gi", 0)
		c.after(2 * gather)
		c.expect("after the hold", "fast 100Gi/100Gi", 1)
		c.after(time.Hour)
		c.expect("an hour later", "fast 100Gi/100Gi", 0)
	})
}

func TestTheHoldBeginsWithTheFirstIncrease(t *testing.T) {
	inCluster(t, func(c *cluster) {
		for i := range 10 {
			c.make(fmt.Sprint("v", i), 5*lvm.GiB)
		}
		c.after(time.Second)
		c.expect("ten volumes in a burst", "fast 50Gi/50Gi", 2)
		for i := range 10 {
			c.delete(fmt.Sprint("v", i))
			c.after(time.Second)
		}
		c.expect("one deleted each second", "fast 80Gi/80Gi", 1)
	})
}

func TestNothingIsWrittenWithinAStep(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.make("a", 500*lvm.MiB)
		c.after(time.Second)
		c.expect("a volume", "fast 99Gi/99Gi", 2)
		c.make("b", 100*lvm.MiB)
		c.after(time.Second)
		c.expect("a small one more", "fast 99Gi/99Gi", 0)
		c.delete("b")
		c.after(time.Minute)
		c.expect("and without it", "fast 99Gi/99Gi", 0)
	})
}

func TestAnotherProgramsChangesAreSeenInTime(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.must(c.lvm.CreateThick(lvm.CreateThick{VG: "loam-fast", Name: "foreign", Size: 30 * lvm.GiB}))
		c.after(refresh)
		c.expect("without any notice", "fast 70Gi/70Gi", 2)
		c.must(c.lvm.CreateThick(lvm.CreateThick{VG: "loam-fast", Name: "foreign2", Size: 30 * lvm.GiB}))
		_, err := c.pools.Report(context.Background())
		c.must(err)
		c.after(2 * gather)
		c.expect("as somebody's report showed it", "fast 40Gi/40Gi", 1)
	})
}

func TestReportsCauseNoReports(t *testing.T) {
	inCluster(t, func(c *cluster) {
		before := c.lvm.Calls("Report")
		c.after(30 * time.Second)
		if got := c.lvm.Calls("Report") - before; got != 0 {
			t.Errorf("%d reports in 30 s without a change, want none", got)
		}
		c.make("a", lvm.GiB)
		c.after(10 * time.Second)
		if got := c.lvm.Calls("Report") - before; got != 1 {
			t.Errorf("%d reports for one volume, want 1", got)
		}
	})
}

func TestObjectsFollowClassesAndPools(t *testing.T) {
	inCluster(t, func(c *cluster) {
		classes := c.client.StorageV1().StorageClasses()
		_, err := classes.Create(context.Background(), class("any", ""), metav1.CreateOptions{})
		c.must(err)
		_, err = classes.Create(context.Background(), class("slow", "slow"), metav1.CreateOptions{})
		c.must(err)
		c.after(2 * gather)
		c.expect("two more classes, one without a pool here", "any 100Gi/100Gi, fast 100Gi/100Gi", 2)
		c.configure("pools: [{name: slow, type: thick, reserve: 50%, devices: {paths: [/dev/b]}}]")
		c.after(2 * gather)
		c.expect("another pool instead", "any 50Gi/50Gi, slow 50Gi/50Gi", 3)
		c.must(classes.Delete(context.Background(), "slow", metav1.DeleteOptions{}))
		c.after(2 * gather)
		c.expect("a class removed", "any 50Gi/50Gi", 1)
		c.configure("pools: []")
		c.after(2 * gather)
		c.expect("no pool", "", 1)
	})
}

func TestEditsOfOthersAreCorrected(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.expect("at the start", "fast 100Gi/100Gi", 1)
		o := c.fast()
		o.Capacity = quantity(5 * lvm.TiB)
		c.edit(o)
		c.after(2 * gather)
		c.expect("more than there is", "fast 100Gi/100Gi", 1)
		o = c.fast()
		o.MaximumVolumeSize = nil
		c.edit(o)
		c.after(2 * gather)
		c.expect("no largest volume", "fast 100Gi/100Gi", 1)
		o = c.fast()
		o.OwnerReferences = nil
		c.edit(o)
		c.after(2 * gather)
		c.expect("no owner", "fast 100Gi/100Gi", 1)
		if owners := c.fast().OwnerReferences; len(owners) != 1 || owners[0].UID != self.uid {
			t.Errorf("owners %v, want the node again", owners)
		}
		c.must(c.client.StorageV1().CSIStorageCapacities(self.namespace).Delete(context.Background(), self.name("fast"), metav1.DeleteOptions{}))
		c.writes.Store(0)
		c.after(2 * gather)
		c.expect("deleted", "fast 100Gi/100Gi", 1)
	})
}

func TestANodeThatIsAnotherNowOwnsWhatIsPublished(t *testing.T) {
	inCluster(t, func(c *cluster) {
		nodes := c.client.CoreV1().Nodes()
		c.must(nodes.Delete(context.Background(), self.nodeObject, metav1.DeleteOptions{}))
		c.must(c.client.StorageV1().CSIStorageCapacities(self.namespace).Delete(context.Background(), self.name("fast"), metav1.DeleteOptions{}))
		c.writes.Store(0)
		c.after(time.Minute)
		c.expect("while there is no node", "", 0)
		_, err := nodes.Create(context.Background(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: self.nodeObject, UID: "uid-9"}}, metav1.CreateOptions{})
		c.must(err)
		c.after(time.Minute)
		c.expect("when it is back", "fast 100Gi/100Gi", 1)
		if uid := c.fast().OwnerReferences[0].UID; uid != "uid-9" {
			t.Errorf("owner %s, want the new node", uid)
		}
	})
}

func TestAfterAnOutageOfTheAPIAllIsRight(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.apiDown.Store(true)
		for i := range 60 {
			c.make(fmt.Sprint("v", i), lvm.GiB)
			c.after(10 * time.Second)
		}
		if tried := c.writes.Swap(0); tried < 10 || tried > 40 {
			t.Errorf("%d writes tried in ten minutes without an API server, want one in 30 to 45 s after the first few", tried)
		}
		c.apiDown.Store(false)
		c.after(45 * time.Second)
		c.expect("when it is back", "fast 40Gi/40Gi", 1)
		c.make("w", lvm.GiB)
		c.after(2 * gather)
		c.expect("and on", "fast 39Gi/39Gi", 1)
	})
}

func TestAFailedReportIsNotPublished(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.make("a", 10*lvm.GiB)
		c.after(time.Second)
		c.expect("before", "fast 90Gi/90Gi", 2)
		c.lvmDown.Store(true)
		c.pools.Forget("a")
		c.after(10 * time.Minute)
		c.expect("while LVM fails", "fast 90Gi/90Gi", 0)
		c.lvmDown.Store(false)
		c.must(c.lvm.Remove("loam-fast", "a"))
		c.after(time.Minute)
		c.expect("after", "fast 100Gi/100Gi", 1)
	})
}

func TestAConflictIsSettled(t *testing.T) {
	inCluster(t, func(c *cluster) {
		conflicts := 2
		c.client.PrependReactor("update", "csistoragecapacities", func(clienttest.Action) (bool, runtime.Object, error) {
			if conflicts--; conflicts < 0 {
				return false, nil, nil
			}
			return true, nil, apierrors.NewConflict(storagev1.Resource("csistoragecapacities"), "x", errors.New("changed"))
		})
		c.make("a", 10*lvm.GiB)
		c.after(2 * time.Second)
		c.expect("after two conflicts", "fast 90Gi/90Gi", 2)
	})
}

// The watch shows this node's labels alone, so that an object without them seems not to be there.
func TestAnObjectWithoutItsLabelsIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		o := says("fast", 1, 1)
		o.Labels = nil
		_, err := c.client.StorageV1().CSIStorageCapacities(self.namespace).Create(context.Background(), o, metav1.CreateOptions{})
		c.must(err)
		c.start()
		c.expect("at the start", "fast 100Gi/100Gi", -1)
		if o := c.fast(); !self.owns(o) {
			t.Errorf("labels %v, want this node's", o.Labels)
		}
		c.after(time.Minute)
		c.expect("later", "fast 100Gi/100Gi", 0)
		c.stop()
		c.must(<-c.ended)
	})
}

// What a thousand agents do to an API server.
func TestTheAPIServerIsAskedForLittle(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.after(time.Hour)
		asked := map[string]int{}
		for _, a := range c.client.Actions() {
			what := a.GetVerb() + " " + a.GetResource().Resource
			if w, ok := a.(clienttest.WatchAction); ok {
				what += " " + w.GetWatchRestrictions().Labels.String()
			}
			asked[what+" in "+a.GetNamespace()]++
		}
		want := map[string]int{
			"get nodes in ": 1, "list storageclasses in ": 1, "watch storageclasses  in ": 1,
			"list csistoragecapacities in loam-system": 1, "create csistoragecapacities in loam-system": 1,
			"watch csistoragecapacities app.kubernetes.io/managed-by=loam-agent,loam.storage/node=node-1 in loam-system": 1,
		}
		if !maps.Equal(asked, want) {
			t.Errorf("asked in an hour: %v, want %v", asked, want)
		}
	})
}

func TestAnAgentThatComesBackWritesNothing(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.expect("at the start", "fast 100Gi/100Gi", 1)
		c.stop()
		c.must(<-c.ended)
		c.expect("stopped", "fast 100Gi/100Gi", 0)
		c.start()
		c.after(time.Minute)
		c.expect("back", "fast 100Gi/100Gi", 0)
	})
}

func TestThePublisherStopsAndStartsWithoutTheAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.apiDown.Store(true)
		c.start()
		c.after(10 * time.Minute)
		c.stop()
		c.must(<-c.ended)
		c.start()
		c.apiDown.Store(false)
		c.after(time.Minute)
		c.expect("when it is back", "fast 100Gi/100Gi", 1)
		c.stop()
		c.must(<-c.ended)
	})
}

func TestAPersonKnowsWhatIsInTheWayOfPublishing(t *testing.T) {
	inCluster(t, func(c *cluster) {
		from := c.is.Published()
		c.after(time.Hour)
		if old := time.Since(c.is.Published()); from.IsZero() || old > refresh || c.is.Problem() != nil {
			t.Errorf("nothing changed for an hour: published %v ago (first %v), %v", old, from, c.is.Problem())
		}
		c.apiDown.Store(true)
		c.make("a", lvm.GiB)
		c.after(overdue - refresh)
		if err := c.is.Problem(); err != nil {
			t.Errorf("after a minute without an API server: %v", err)
		}
		c.after(refresh)
		last := c.is.Published()
		want := "since " + last.UTC().Format("2006-01-02 15:04:05") + " UTC: updating the capacity of StorageClass fast: "
		if err := c.is.Problem(); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "away") {
			t.Errorf("after two minutes without an API server: %v, want %s…", err, want)
		}
		c.apiDown.Store(false)
		c.after(45 * time.Second)
		if err := c.is.Problem(); err != nil || !c.is.Published().After(last) {
			t.Errorf("when it is back: %v, published %v, and %v before", err, c.is.Published(), last)
		}
	})
}

func TestAPersonKnowsThatTheAPIServerWasNeverThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.apiDown.Store(true)
		began := time.Now()
		c.start()
		c.after(overdue)
		if err := c.is.Problem(); err == nil || !strings.Contains(err.Error(), "away") || !c.is.Published().Equal(began) {
			t.Errorf("an API server that was away from the start: %v, published %v, want when it began, %v", err, c.is.Published(), began)
		}
		c.stop()
		if err := <-c.ended; err != nil {
			t.Error(err)
		}
	})
}
