package extender

import (
	"slices"

	"github.com/loam-storage/loam/published"
)

// SetClaim says what a claim is, by namespace/name.
func (c *Change) SetClaim(key string, to Claim) {
	before, known := c.claims[key]
	if known && before == to {
		return
	}
	c.unlink(key, before)
	c.claims[key] = to
	n := c.link(key, to)
	switch {
	case n != nil:
		c.settled = append(c.settled, settled{claim: key, slot: n.slot})
	case to.Volume != "" || known && before.UID != to.UID:
		c.settled = append(c.settled, settled{claim: key, slot: nowhere})
	}
}

// RemoveClaim says that there is no such claim.
func (c *Change) RemoveClaim(key string) {
	before, known := c.claims[key]
	if !known {
		return
	}
	c.unlink(key, before)
	delete(c.claims, key)
	c.settled = append(c.settled, settled{claim: key, slot: nowhere})
}

// link counts a claim on the node that was chosen for it, which is returned, until its volume is counted there.
func (c *Change) link(key string, claim Claim) *node {
	_, ours := c.classes[claim.Class]
	_, made := c.volumes[claim.Volume]
	if !c.ready.Load() || !ours || made || claim.Node == "" {
		return nil
	}
	n := c.called(claim.Node)
	n.claims[key] = struct{}{}
	return n
}

func (c *Change) unlink(key string, claim Claim) {
	id := claim.Node
	if other, renamed := c.ids[id]; renamed {
		id = other
	}
	if n, known := c.nodes[id]; known {
		if _, linked := n.claims[key]; linked {
			delete(n.claims, key)
			c.touch(n)
		}
	}
}

// linkAll links the claims of a class, or of all classes for "".
func (c *Change) linkAll(class string) {
	for key, claim := range c.claims {
		if class == "" || claim.Class == class {
			c.link(key, claim)
		}
	}
}

// SetVolume says what a PersistentVolume is, and which claim, by namespace/name, it is for.
func (c *Change) SetVolume(name string, to Volume, claim string) {
	before, known := c.volumes[name]
	if known && before.Volume == to {
		return
	}
	if known {
		c.RemoveVolume(name)
	}
	v := &present{Volume: to, key: published.Key(to.LV), number: c.pool(to.Pool)}
	c.volumes[name] = v
	n := c.node(to.Node)
	n.volumes = append(n.volumes, v)
	if of := c.claims[claim]; of.Volume == name {
		c.unlink(claim, of)
	}
}

// RemoveVolume says that there is no such PersistentVolume.
func (c *Change) RemoveVolume(name string) {
	before, known := c.volumes[name]
	if !known {
		return
	}
	delete(c.volumes, name)
	n := c.node(before.Node)
	n.volumes = slices.DeleteFunc(n.volumes, func(v *present) bool { return v == before })
}

// SetClass says what a StorageClass is. What nodes have for it is worked out anew.
func (c *Change) SetClass(name string, to Class) {
	before, known := c.classes[name]
	if known && before == to {
		return
	}
	c.classes[name] = to
	c.pool(to.Pool)
	c.linkAll(name)
	c.touchAll()
}

// RemoveClass says that there is no such StorageClass of ours.
func (c *Change) RemoveClass(name string) {
	if _, known := c.classes[name]; known {
		delete(c.classes, name)
		c.touchAll()
	}
}

func (c *Change) touchAll() {
	for _, n := range c.nodes {
		c.touch(n)
	}
}

// SetOffer says what a CSIStorageCapacity is.
func (c *Change) SetOffer(key string, to Offer) {
	c.RemoveOffer(key)
	n := c.node(to.ID)
	c.name(n, to.Node)
	n.offers[key] = c.keep(to)
	c.offers[key] = n
}

// RemoveOffer says that there is no such CSIStorageCapacity.
func (c *Change) RemoveOffer(key string) {
	n, known := c.offers[key]
	if !known {
		return
	}
	c.gone = append(c.gone, goneRoom{n.offers[key].class, n.slot})
	delete(n.offers, key)
	delete(c.offers, key)
	c.touch(n)
}

// SetSnapshot says which VolumeSnapshotContent a VolumeSnapshot has, by namespace/name; "" for none yet.
func (c *Change) SetSnapshot(key, content string) { c.snapshots[key] = content }

// RemoveSnapshot says that there is no such VolumeSnapshot.
func (c *Change) RemoveSnapshot(key string) { delete(c.snapshots, key) }

// SetContent says which node, by its ID, has a VolumeSnapshotContent of ours.
func (c *Change) SetContent(name, node string) { c.contents[name] = node }

// RemoveContent says that there is no such VolumeSnapshotContent.
func (c *Change) RemoveContent(name string) { delete(c.contents, name) }

// PodLeft says that a pod, by its UID, has been placed or deleted.
func (c *Change) PodLeft(uid string) { c.settled = append(c.settled, settled{pod: uid}) }
