package pool

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/disk"
)

// onFake are pools with one thick pool p of 10 GiB, of which nobody was told yet.
func onFake(t *testing.T) (*Pools, *lvmtest.Fake) {
	t.Helper()
	fake := lvmtest.NewFake(map[string]lvm.Bytes{"/dev/x": 10*lvm.GiB + 4*lvm.MiB})
	fake.SetDevices([]string{"/dev/x"})
	if err := fake.CreateGroup(lvm.CreateGroup{Name: "loam-p", Devices: []string{"/dev/x"}}); err != nil {
		t.Fatal(err)
	}
	p := New(fake, slog.New(slog.DiscardHandler))
	p.Configure(config.Config{Pools: []config.Pool{configured(t, "type: thick, reserve: 0%")}})
	if _, err := p.Report(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-p.Changed()
	return p, fake
}

func TestChangedTellsWhatMayChangeRooms(t *testing.T) {
	report := func(t *testing.T, p *Pools) {
		if _, err := p.Report(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	fill := func(t *testing.T, fake *lvmtest.Fake) {
		if err := fake.CreateThick(lvm.CreateThick{VG: "loam-p", Name: "v", Size: lvm.GiB}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		do   func(*testing.T, *Pools, *lvmtest.Fake)
		want bool
	}{
		{"a volume made", func(_ *testing.T, p *Pools, _ *lvmtest.Fake) { p.Note(Volume{}) }, true},
		{"a volume deleted", func(_ *testing.T, p *Pools, _ *lvmtest.Fake) { p.Forget("v") }, true},
		{"a configuration", func(_ *testing.T, p *Pools, _ *lvmtest.Fake) { p.Configure(config.Config{}) }, true},
		{"a report like the last", func(t *testing.T, p *Pools, _ *lvmtest.Fake) { report(t, p) }, false},
		{"a report with less room", func(t *testing.T, p *Pools, f *lvmtest.Fake) { fill(t, f); report(t, p) }, true},
		{"what Rooms itself answers", func(t *testing.T, p *Pools, f *lvmtest.Fake) {
			fill(t, f)
			if rooms, err := p.Rooms(t.Context()); err != nil || rooms["p"].Available != 9*lvm.GiB {
				t.Errorf("rooms %v, %v, want 9 GiB", rooms, err)
			}
			report(t, p)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, fake := onFake(t)
			c.do(t, p, fake)
			got := false
			select {
			case <-p.Changed():
				got = true
			default:
			}
			if got != c.want {
				t.Errorf("told: %v, want %v", got, c.want)
			}
		})
	}
}

func TestRoomsKnowsMissingFromUnknown(t *testing.T) {
	p, fake := onFake(t)
	p.Configure(config.Config{Pools: []config.Pool{{Name: "gone", VolumeGroup: "loam-gone"}}})
	rooms, err := p.Rooms(t.Context())
	if room, ok := rooms["gone"]; err != nil || !ok || room.Size != 0 || room.Problem == "" {
		t.Errorf("a group that LVM does not know: %+v, %v, want no size, with the reason", rooms, err)
	}
	fake.Fail = func(string) error { return errors.New("no answer") }
	if rooms, err = p.Rooms(t.Context()); err == nil {
		t.Errorf("LVM fails: %v, want its error", rooms)
	}
	fake.Fail = nil
	p.conclude(t.Context(), disk.Survey{}, map[string]error{"gone": errors.New("cannot read /sys")})
	if rooms, err = p.Rooms(t.Context()); err == nil {
		t.Errorf("the disks could never be looked at: %v, want an error", rooms)
	}
	p.own(disk.Survey{})
	if _, err = p.Rooms(t.Context()); err != nil {
		t.Errorf("the disks were looked at, and the pool has none: %v, want no error", err)
	}
}

func TestWhatOnlyAChangeCanMendIsNotTriedAgain(t *testing.T) {
	for _, c := range []struct {
		problem             error
		troubled, elsewhere bool
	}{
		{nil, false, false},
		{errNoDisk, false, false},
		{fmt.Errorf("%w: it takes disks of nodes with the labels disktype=nvme", errElsewhere), false, true},
		{errors.New("vgcreate failed"), true, false},
	} {
		p := New(lvmtest.NewFake(nil), slog.New(slog.DiscardHandler))
		problems := map[string]error{}
		if c.problem != nil {
			problems["fast"] = c.problem
		}
		p.conclude(t.Context(), disk.Survey{}, problems)
		if p.troubled() != c.troubled || p.IsElsewhere("fast") != c.elsewhere {
			t.Errorf("%v: troubled %v, elsewhere %v", c.problem, p.troubled(), p.IsElsewhere("fast"))
		}
	}
}
