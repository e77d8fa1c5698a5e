package pool

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/disk"
	"github.com/loam-storage/loam/node/disk/disktest"
	"github.com/loam-storage/loam/node/signature"
)

// machine is a made-up machine with blank disks of 1 GiB, whose LVM writes to the disks that it takes.
type machine struct {
	*lvmtest.Fake
	*disktest.Tree
	t     *testing.T
	disks []string
	lost  int // how many disks each group misses
}

func newMachine(t *testing.T, names ...string) *machine {
	t.Helper()
	m := &machine{Fake: lvmtest.NewFake(nil), Tree: disktest.New(t), t: t}
	for _, name := range names {
		m.plug(name)
	}
	return m
}

// plug adds a blank disk.
func (m *machine) plug(name string) {
	m.t.Helper()
	m.Add(name, map[string]string{"size": fmt.Sprint(int64(lvm.GiB / lvm.Sector))})
	m.AddDisk("/dev/"+name, lvm.GiB)
	m.disks = append(m.disks, name)
	m.written(0)
}

// written says how often each disk was written to.
func (m *machine) written(times int) {
	for _, name := range m.disks {
		m.Write("sys/devices/"+name+"/stat", fmt.Sprintf("1 2 3 4 %[1]d 6 %[1]d 8 9 10 11\n", times))
	}
}

func (m *machine) source() disk.Source {
	return disk.Source{Sys: filepath.Join(m.Root, "sys"), Proc: filepath.Join(m.Root, "proc")}
}

func (m *machine) CreateGroup(c lvm.CreateGroup) error {
	m.written(1)
	return m.Fake.CreateGroup(c)
}

func (m *machine) ExtendGroup(vg string, metadataSize lvm.Bytes, devices ...string) error {
	m.written(2)
	return m.Fake.ExtendGroup(vg, metadataSize, devices...)
}

func (m *machine) Report(ctx context.Context) (lvm.Report, error) {
	r, err := m.Fake.Report(ctx)
	for i := range r.VolumeGroups {
		r.VolumeGroups[i].MissingPVs = m.lost
	}
	return r, err
}

// pools are those of the machine, and their configuration: one pool, bulk, of all disks. slow says whether a disk does not answer at its n-th look.
func (m *machine) pools(slow func(name string, n int) bool) (*Pools, config.Config) {
	m.t.Helper()
	p := New(m, slog.New(slog.DiscardHandler))
	var mu sync.Mutex
	looks := map[string]int{}
	p.scanner.Source, p.scanner.Unfinished = m.source(), nil
	p.scanner.Read = func(_ context.Context, path string) (signature.Signature, error) {
		if slices.Contains(p.members, path) {
			return signature.Signature{Type: "LVM2_member"}, nil
		}
		return signature.Signature{Blank: true}, nil
	}
	p.scanner.Hold = func(d disk.Disk) error {
		mu.Lock()
		defer mu.Unlock()
		name := filepath.Base(d.Path)
		looks[name]++
		if slow(name, looks[name]) {
			return disk.ErrSilent
		}
		return nil
	}
	c, err := config.Parse("test", []byte("pools:\n- {name: bulk, type: thick, devices: {paths: [/dev/sda, /dev/sdb]}}\n"))
	if err != nil {
		m.t.Fatal(err)
	}
	return p, c
}

// has checks the pool's problem, and how many disks are in its group.
func (m *machine) has(p *Pools, problem string, disks int) {
	m.t.Helper()
	if is := p.Problem("bulk"); (is == "") != (problem == "") || !strings.Contains(is, problem) {
		m.t.Errorf("the problem is %q, want %q", is, problem)
	}
	report, err := m.Report(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	if vg, _ := report.VolumeGroup("loam-bulk"); len(vg.PVs) != disks {
		m.t.Errorf("the group has %d disks, want %d", len(vg.PVs), disks)
	}
}

// TestDiskThatDidNotAnswerOnceIsClaimedLater has disks that are slow once, at the first look or in the moment in which they are to be
// claimed, as on a machine that has much to do at its start.
func TestDiskThatDidNotAnswerOnceIsClaimedLater(t *testing.T) {
	for _, c := range []struct {
		name    string
		slow    []string
		look    int
		problem string // before
		disks   int    // before
	}{
		{"one of two, at first", []string{"sdb"}, 1, "", 1},
		{"one of two, to be claimed", []string{"sdb"}, 2, "", 1},
		{"both, at first", []string{"sda", "sdb"}, 1, errNoDisk.Error(), 0},
		{"both, to be claimed", []string{"sda", "sdb"}, 2, disk.ErrSilent.Error(), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t, "sda", "sdb")
			p, conf := m.pools(func(name string, n int) bool { return n == c.look && slices.Contains(c.slow, name) })
			p.BringUp(t.Context(), conf)
			m.has(p, c.problem, c.disks)
			p.LookAgain(t.Context())
			m.has(p, "", 2)
		})
	}
}

// TestDiskThatCameWhileAnotherWasMissingIsClaimed has a person take the lost disk out of the group later, of which the disks tell nothing.
func TestDiskThatCameWhileAnotherWasMissingIsClaimed(t *testing.T) {
	m := newMachine(t, "sda")
	p, conf := m.pools(func(string, int) bool { return false })
	p.BringUp(t.Context(), conf)
	m.lost = 1
	m.plug("sdb")
	p.LookAgain(t.Context())
	m.has(p, "", 1)
	m.lost = 0
	p.LookAgain(t.Context())
	m.has(p, "", 2)
}
