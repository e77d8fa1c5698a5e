package config

import (
	"slices"
	"strconv"
	"strings"
)

// Change is one difference between two configurations that can be applied while the agent runs.
type Change struct {
	Pool     string
	Key      string // "thin.stopAt"; "" when the pool was added or removed
	From, To string // as they would be written; "" for what is absent
}

// String is the change in words.
func (c Change) String() string {
	switch {
	case c.Key != "":
		return "pool " + c.Pool + ": " + c.Key + " changes from " + c.From + " to " + c.To
	case c.From == "":
		return "pool " + c.Pool + " is new"
	}
	return "pool " + c.Pool + " is no longer configured; what it holds stays"
}

// Changes is what becomes different when next takes the place of old. A pool is known by its name; what cannot be
// changed in place is an error made of Problems, and nothing of next is to be used then.
func Changes(old, next Config) ([]Change, error) {
	p := &problems{file: next.origin.file}
	var all []Change
	for i, pool := range next.Pools {
		at := next.places(i)
		was, existed := old.pool(func(o Pool) bool { return o.Name == pool.Name })
		if !existed {
			renamed(p, old, pool, at)
			all = append(all, Change{Pool: pool.Name, To: pool.Name})
			continue
		}
		all = append(all, differences(p, was, pool, at)...)
	}
	for _, was := range old.Pools {
		if _, stays := next.pool(func(n Pool) bool { return n.Name == was.Name }); !stays {
			all = append(all, Change{Pool: was.Name, From: was.Name})
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return all, nil
}

// differences compares a pool with what it was, key by key.
func differences(p *problems, was, pool Pool, at places) []Change {
	var all []Change
	for _, key := range keys {
		if key.equal(was, pool) || key.For != "" && was.Type != pool.Type {
			continue // a key that only one type has follows from the type
		}
		c := Change{
			Pool: pool.Name, Key: strings.TrimPrefix(key.Path, poolPath+"."),
			From: strings.Join(key.get(was), ", "), To: strings.Join(key.get(pool), ", "),
		}
		if key.Fixed {
			p.add(at.of(key.Path), "pool %s has %s, and this cannot be changed to %s in place; nothing was changed", c.Pool, c.From, c.To)
			continue
		}
		all = append(all, c)
	}
	return all
}

// renamed refuses a new pool that wants an existing one's group, which carries the old name in its tags.
func renamed(p *problems, old Config, pool Pool, at places) {
	if was, taken := old.pool(func(o Pool) bool { return o.VolumeGroup == pool.VolumeGroup }); taken {
		p.add(at.of("pools[].name"), "volume group %s is that of pool %s, which cannot be renamed to %s in place; nothing was changed",
			pool.VolumeGroup, was.Name, pool.Name)
	}
}

func (c Config) pool(is func(Pool) bool) (Pool, bool) {
	if i := slices.IndexFunc(c.Pools, is); i >= 0 {
		return c.Pools[i], true
	}
	return Pool{}, false
}

// places of a pool's keys; a Config that was not parsed knows the keys only.
func (c Config) places(i int) places {
	if i < len(c.origin.pools) {
		return c.origin.pools[i]
	}
	return places{poolPath: {key: "pools[" + strconv.Itoa(i) + "]"}}
}
