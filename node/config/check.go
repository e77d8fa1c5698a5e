package config

// check finds what no single value shows: what is missing, and what does not go together.
func check(p *problems, pools []pool) {
	names, groups := map[string]int{}, map[string]int{}
	for _, one := range pools {
		checkRequired(p, one)
		checkType(p, one)
		checkOrder(p, one)
		if unique(p, names, one, "pools[].name", one.Name) || one.at.has("pools[].volumeGroup") {
			unique(p, groups, one, "pools[].volumeGroup", one.VolumeGroup)
		}
	}
}

func checkRequired(p *problems, one pool) {
	if !one.at.has("pools[].name") {
		p.add(one.at.of("pools[].name"), "expected the pool's name, got nothing")
	}
	if !one.at.has("pools[].devices.paths") && !one.at.has("pools[].volumeGroup") {
		p.add(one.at.of("pools[].devices.paths"), "expected the devices that the pool may take, or volumeGroup with the name of a group that exists; got neither")
	}
}

// checkType finds keys that the pool's type does not have.
func checkType(p *problems, one pool) {
	if one.Type != Thin && one.Type != Thick {
		return // said already
	}
	for _, key := range keys {
		if at, ok := one.at[key.Path]; ok && key.For != "" && key.For != one.Type {
			p.add(at, "only a %s pool has this, and this one is %s", key.For, one.Type)
		}
	}
}

func checkOrder(p *problems, one pool) {
	d := one.Devices
	if d.MaxSize > 0 && d.MinSize > d.MaxSize {
		p.add(one.at.of("pools[].devices.maxSize"), "expected at least minSize, which is %s; got %s", written(d.MinSize), written(d.MaxSize))
	}
	t := one.Thin
	if one.Type == Thin && t.StopAt.percent() > 0 && t.StopAt.percent() <= t.Extend.At.percent() {
		p.add(one.at.of("pools[].thin.stopAt", "pools[].thin.extend.at"),
			"expected stopAt above extend.at, so that the pool grows before it stops; got stopAt %v and extend.at %v", t.StopAt, t.Extend.At)
	}
}

// unique refuses a value that an earlier pool has, and says false then.
func unique(p *problems, seen map[string]int, one pool, path, value string) bool {
	if value == "" {
		return true
	}
	at := one.at.of(path)
	if first, again := seen[value]; again {
		p.add(at, "expected a different one for each pool; the pool on line %d has %s already", first, abbreviated(value))
		return false
	}
	seen[value] = at.line
	return true
}
