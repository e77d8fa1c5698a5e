package disk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loam-storage/loam/node/signature"
)

var blank = signature.Signature{Blank: true, DataAt: -1}

// reader stands for the devices' contents, and counts how often each was read.
type reader struct {
	mu    sync.Mutex
	holds map[string]signature.Signature // by the last element of the path; blank when absent
	fails map[string]error
	held  map[string]error
	read  []string
}

func (r *reader) Read(_ context.Context, path string) (signature.Signature, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := path[strings.LastIndex(path, "/")+1:]
	r.read = append(r.read, name)
	if s, ok := r.holds[name]; ok {
		return s, nil
	}
	return blank, r.fails[name]
}

func (r *reader) Hold(d Disk) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held[d.Path[strings.LastIndex(d.Path, "/")+1:]]
}

// wasRead returns what was read since it was last called.
func (r *reader) wasRead() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	read := r.read
	r.read = nil
	slices.Sort(read)
	return read
}

func scanner(tr *tree, r *reader) *Scanner {
	return &Scanner{Source: tr.source(), Read: r.Read, Hold: r.Hold}
}

func scan(t *testing.T, s *Scanner) []Inspected {
	t.Helper()
	found, err := s.Scan(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestScanReadsAgainOnlyWhatMayHaveChanged(t *testing.T) {
	tr := newTree(t)
	for _, name := range []string{"sda", "sdb", "sdc", "sdd"} {
		tr.Add(name, nil)
	}
	tr.Add("dm-0", map[string]string{"dm/name": "vg-lv", "dm/uuid": "LVM-x"})
	tr.Holds("sda", "dm-0")
	r := &reader{
		holds: map[string]signature.Signature{"sda": {Type: physicalVolume}},
		fails: map[string]error{"sdd": signature.ErrUnreadable},
	}
	s := scanner(tr, r)
	scan(t, s)
	if got := r.wasRead(); !slices.Equal(got, []string{"sda", "sdb", "sdc", "sdd"}) {
		t.Errorf("the first scan read %v", got)
	}
	scan(t, s)
	if got := r.wasRead(); !slices.Equal(got, []string{"sdd"}) {
		t.Errorf("with nothing changed %v was read; want only what failed", got)
	}
	tr.Write("sys/devices/sda/stat", "9 9 9 9 9 9 9 9 9")
	tr.Write("sys/devices/sdb/stat", "9 9 9 9 9 9 9 9 9")
	scan(t, s)
	if got := r.wasRead(); !slices.Equal(got, []string{"sdb", "sdd"}) {
		t.Errorf("after writes to a volume group's disk and another %v was read; want the other", got)
	}
	tr.Write("sys/devices/sdc/diskseq", "77")
	scan(t, s)
	if got := r.wasRead(); !slices.Equal(got, []string{"sdc", "sdd"}) {
		t.Errorf("after a disk was replaced %v was read", got)
	}
}

func TestSameForgivesWritesAlone(t *testing.T) {
	tr := newTree(t)
	tr.Add("sda", nil)
	r := &reader{holds: map[string]signature.Signature{}}
	s := scanner(tr, r)
	before := scan(t, s)
	tr.Write("sys/devices/sda/stat", "9 9 9 9 9 9 9 9 9")
	if after := scan(t, s); !Same(before, after) {
		t.Errorf("%+v and %+v differ in what was written alone", before, after)
	}
	r.holds["sda"] = signature.Signature{Type: "ext4"}
	tr.Write("sys/devices/sda/stat", "9 9 9 9 10 9 9 9 9")
	if after := scan(t, s); Same(before, after) {
		t.Errorf("%+v and %+v are not the same", before, after)
	}
}

func TestSameForgivesVolumesThatComeAndGo(t *testing.T) {
	tr := newTree(t)
	tr.Add("sda", nil)
	tr.Add("dm-0", map[string]string{"dm/name": "vg-lv", "dm/uuid": "LVM-x"})
	tr.Add("dm-1", map[string]string{"dm/name": "else", "dm/uuid": "x"})
	s := scanner(tr, &reader{holds: map[string]signature.Signature{"sda": {Type: physicalVolume}}})
	before := scan(t, s)
	tr.Holds("sda", "dm-0")
	if after := scan(t, s); !Same(before, after) {
		t.Errorf("%+v and %+v differ in a volume alone", before, after)
	}
	tr.Holds("sda", "dm-1")
	if after := scan(t, s); Same(before, after) {
		t.Errorf("%+v and %+v are not the same: a stranger holds the disk", before, after)
	}
}

func TestScanSaysWhenADiskIsHeldOrUnreadable(t *testing.T) {
	tr := newTree(t)
	for _, name := range []string{"sda", "sdb", "sdc", "sdd"} {
		tr.Add(name, nil)
	}
	s := scanner(tr, &reader{
		holds: map[string]signature.Signature{"sda": {Type: "ext4"}},
		held:  map[string]error{"sda": ErrHeld, "sdb": fmt.Errorf("sdb: %w", ErrHeld), "sdc": ErrRefused},
		fails: map[string]error{"sdd": signature.ErrUnreadable},
	})
	found := scan(t, s)
	if found[0].Held || found[0].Err != nil {
		t.Errorf("a disk that is not blank needs not be held: %+v", found[0])
	}
	if !found[1].Held || found[1].Err != nil {
		t.Errorf("held: %+v", found[1])
	}
	if !errors.Is(found[2].Err, ErrRefused) || !errors.Is(found[3].Err, signature.ErrUnreadable) {
		t.Errorf("errors: %v, %v", found[2].Err, found[3].Err)
	}
}

func TestADiskThatHangsIsAskedOnceAndHoldsNobodyUp(t *testing.T) {
	tr := newTree(t)
	tr.Add("sda", nil)
	tr.Add("sdb", nil)
	hang := make(chan struct{})
	r := &reader{}
	s := scanner(tr, r)
	s.Timeout = 20 * time.Millisecond
	s.Read = func(ctx context.Context, path string) (signature.Signature, error) {
		seen, err := r.Read(ctx, path)
		if strings.HasSuffix(path, "sda") {
			<-hang
		}
		return seen, err
	}
	for range 5 {
		found := scan(t, s)
		if !errors.Is(found[0].Err, ErrSilent) || found[1].Err != nil {
			t.Fatalf("errors %v, %v", found[0].Err, found[1].Err)
		}
	}
	if got := r.wasRead(); !slices.Equal(got, []string{"sda", "sdb"}) {
		t.Errorf("%v was read, want each disk once", got)
	}
	close(hang)
	s.Wait()
	if found := scan(t, s); found[0].Err != nil || !found[0].Signature.Blank {
		t.Errorf("a disk that answers again: %+v", found[0])
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	tr := newTree(t)
	tr.Add("sda", nil)
	ctx, cancel := context.WithCancel(context.Background())
	s := scanner(tr, &reader{})
	s.Read = func(context.Context, string) (signature.Signature, error) {
		cancel()
		return blank, nil
	}
	if found, err := s.Scan(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v; want that it was cancelled", found, err)
	}
	s.Wait()
}

func TestRecheckRefusesWhatHasChanged(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(tr *tree, r *reader)
	}{
		{"gone", "it is gone", func(tr *tree, _ *reader) { tr.remove("sys/class/block/sda") }},
		{"replaced", "another device has taken its place", func(tr *tree, _ *reader) { tr.Write("sys/devices/sda/diskseq", "9") }},
		{"another serial", "another device", func(tr *tree, _ *reader) { tr.Write("sys/devices/sda/serial", "X") }},
		{"another size", "another device", func(tr *tree, _ *reader) { tr.Write("sys/devices/sda/size", "8") }},
		{"formatted", "holds an ext4 file system", func(_ *tree, r *reader) {
			r.holds["sda"] = signature.Signature{Type: "ext4", Usage: "filesystem"}
		}},
		{"a physical volume", "holds an LVM physical volume", func(_ *tree, r *reader) { r.holds["sda"] = signature.Signature{Type: physicalVolume} }},
		{"data of no format", "holds data at byte 512", func(_ *tree, r *reader) { r.holds["sda"] = signature.Signature{DataAt: 512} }},
		{"partitioned", "partitioned (1 partition)", func(tr *tree, _ *reader) { tr.Add("sda/sda1", map[string]string{"partition": "1"}) }},
		{"mounted", "mounted at /srv", func(tr *tree, _ *reader) { tr.Write("proc/1/mountinfo", "22 21 8:1 / /srv rw - ext4 x rw\n") }},
		{"in an array", "in use by md0", func(tr *tree, _ *reader) { tr.Holds("sda", "md0") }},
		{"held", "held open exclusively", func(_ *tree, r *reader) { r.held["sda"] = ErrHeld }},
		{"read-only", "read-only", func(tr *tree, _ *reader) { tr.Write("sys/devices/sda/ro", "1") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTree(t)
			tr.Add("sda", nil)
			r := &reader{holds: map[string]signature.Signature{}, held: map[string]error{}}
			s := scanner(tr, r)
			found := scan(t, s)
			if err := s.Recheck(context.Background(), found[0].Disk); err != nil {
				t.Fatalf("unchanged: %v", err)
			}
			c.change(tr, r)
			if err := s.Recheck(context.Background(), found[0].Disk); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrRefused and %q", err, c.want)
			}
		})
	}
}

func TestRecheckOfAnUnreadableDiskFails(t *testing.T) {
	tr := newTree(t)
	tr.Add("sda", nil)
	s := scanner(tr, &reader{fails: map[string]error{"sda": signature.ErrUnreadable}})
	if err := s.Recheck(context.Background(), tr.find(tr.dev("sda"))); !errors.Is(err, signature.ErrUnreadable) {
		t.Errorf("got %v", err)
	}
}
