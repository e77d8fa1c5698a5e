package capacity

import (
	storagev1 "k8s.io/api/storage/v1"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/published"
)

// detailOf is what is said of a pool beside the figures (docs/decisions/0034-published-room-names-its-volumes.md).
func detailOf(r pool.Room) published.Pool {
	lvs := make([]string, 0, len(r.Volumes))
	for _, v := range r.Volumes {
		lvs = append(lvs, v.LV)
	}
	return published.Pool{Available: r.Available, Extent: r.Extent, Volumes: published.Of(lvs)}
}

// detail is what an object whose figures stay shall say of the pools: what it says already, as long as nobody who reads that
// could come to believe that there is more room than there is. So a volume that does not change the figures costs no write.
func (o offer) detail(object *storagev1.CSIStorageCapacity) published.Pools {
	said, err := published.Parse(object.Annotations[published.Annotation])
	if err != nil || len(said) != len(o.pools) {
		return o.pools
	}
	for name, now := range o.pools {
		before, known := said[name]
		if !known || before.Extent != now.Extent || before.Available-o.since(name, before) > now.Available {
			return o.pools
		}
	}
	return said
}

// since is how much of a pool has gone to claims' volumes that what was said has not counted: whoever reads it knows of them
// from their claims. Of what else takes room (snapshots, growth, volumes without a claim) it knows nothing.
func (o offer) since(name string, before published.Pool) lvm.Bytes {
	var sum lvm.Bytes
	for _, v := range o.volumes[name] {
		if v.Claimed && !before.Volumes.Has(published.Key(v.LV)) {
			sum += v.Size
		}
	}
	return sum
}
