package monitor

import (
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/pool"
)

// horizon is how far ahead a pool's filling is looked at: the time that an extension takes, and some more.
const horizon = 3 * time.Second

// pace is how fast pools fill. Its zero value follows none.
type pace struct{ pools map[string]*filling }

// filling is one thin pool.
type filling struct {
	group, lv string
	at        config.Share // threshold of its extension
	usage     lvm.Usage    // as it was last measured,
	measured  time.Time    // and when; zero: never
	rate      float64      // bytes a second
}

// follow says which pools there are.
func (p *pace) follow(pools []config.Pool, report lvm.Report) {
	before := p.pools
	p.pools = map[string]*filling{}
	for _, c := range pools {
		vg, ok := report.VolumeGroup(c.VolumeGroup)
		lv, thin := pool.ThinPool(vg)
		if !ok || !thin || c.Type != config.Thin || !lv.Active {
			continue
		}
		f := before[c.Name]
		if f == nil || f.group != vg.Name || f.lv != lv.Name {
			f = &filling{group: vg.Name, lv: lv.Name}
		}
		f.at = c.Thin.Extend.At
		p.pools[c.Name] = f
	}
}

// measure asks the kernel about all of them, and says whether one will need to be extended before long.
func (p *pace) measure(kernel pool.LVM, now time.Time) (hurry bool) {
	for _, f := range p.pools {
		usage, err := kernel.Usage(f.group, f.lv)
		if err != nil {
			f.measured = time.Time{}
			continue
		}
		hurry = f.take(usage, now) || hurry
	}
	return hurry
}

// take is true once each time that the threshold comes within the horizon: what can then be done is done at once.
func (f *filling) take(usage lvm.Usage, now time.Time) (hurry bool) {
	before := f.expected()
	if seconds := now.Sub(f.measured).Seconds(); !f.measured.IsZero() && seconds > 0 {
		f.rate = max(0, float64(usage.Data-f.usage.Data)/seconds)
	}
	was := f.usage.Size > 0 && before >= f.at.Of(f.usage.Size)
	f.usage, f.measured = usage, now
	return f.expected() >= f.at.Of(usage.Size) && (!was || f.rate > 0)
}

// expected is how much will be in use at the horizon.
func (f *filling) expected() lvm.Bytes {
	return f.usage.Data + lvm.Bytes(f.rate*horizon.Seconds())
}

// ahead is what writers of a pool are expected to take within the horizon.
func (p *pace) ahead(name string) lvm.Bytes {
	if f := p.pools[name]; f != nil {
		return lvm.Bytes(f.rate * horizon.Seconds())
	}
	return 0
}
