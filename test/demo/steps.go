package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
)

// configPath is where the demo's configuration is written.
const configPath = "/etc/loam/demo.yaml"

// Mount points and the file whose contents are followed.
const (
	photos = "/mnt/photos"
	data   = "/mnt/data"
	again  = "/mnt/again"
	ledger = "ledger"
)

// space is what must be the same before the first volume and after the last.
type space struct {
	used, available lvm.Bytes
	volumes         int
}

func (d *demo) steps() []step {
	return []step{
		{"A disk holds someone's photos", d.putPhotos},
		{"The agent starts, with a configuration that names all three disks", d.startAgent},
		{"It takes the blank disks and refuses the other, and says why", d.listDisks},
		{"It made a pool of them", d.listPools},
		{"A volume with a file system", d.create},
		{"Mounted, a file in it, and the file's checksum", d.useIt},
		{"What it costs the pool, and what there is room for", d.showRoom},
		{"It grows while a writer fills it", d.grow},
		{"A snapshot", d.snapshot},
		{"The file changes", d.change},
		{"The snapshot becomes a volume of its own", d.restore},
		{"Both checksums are what they should be", d.compare},
		{"What the volume gives", d.measure},
		{"All that is unmounted and deleted", d.remove},
		{"The space is back", d.spaceIsBack},
		{"The agent ends, and the photos are as they were", d.endAgent},
	}
}

func (d *demo) putPhotos(ctx context.Context) (string, error) {
	for _, dir := range []string{photos, filepath.Dir(data)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	if err := d.shells(ctx,
		"mkfs.ext4 -q -L photos "+d.foreign,
		"mount "+d.foreign+" "+photos,
		"head -c 8M /dev/urandom > "+photos+"/holiday.jpg",
		"umount "+photos,
	); err != nil {
		return "", err
	}
	sum, err := d.sumDisk(ctx)
	d.foreignSum = sum
	return "an ext4 file system is on " + d.foreign, err
}

// sumDisk is the checksum of the whole foreign disk, read from the disk and not from the page cache.
func (d *demo) sumDisk(ctx context.Context) (string, error) {
	return d.sum(ctx, "blockdev --flushbufs "+d.foreign+" && sha256sum "+d.foreign)
}

// sum runs a line that ends in sha256sum and returns the first checksum.
func (d *demo) sum(ctx context.Context, line string) (string, error) {
	output, err := d.shell(ctx, line)
	if err != nil {
		return "", err
	}
	sum, _, ok := strings.Cut(output, " ")
	if !ok || len(sum) != 64 {
		return "", fmt.Errorf("%s printed %q, which has no checksum", line, output)
	}
	return sum, nil
}

func (d *demo) startAgent(ctx context.Context) (string, error) {
	config := fmt.Sprintf("pools:\n- name: fast\n  type: thin\n  devices:\n    paths: [%s]\n", strings.Join(append(d.blank[:2:2], d.foreign), ", "))
	if err := os.MkdirAll(filepath.Dir(configPath), 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(configPath, []byte(config), 0o644); err != nil {
		return "", err
	}
	if _, err := d.shell(ctx, "cat "+configPath); err != nil {
		return "", err
	}
	d.screen.command("loam agent --config " + configPath + " &")
	a, err := startAgent(d.loam, configPath)
	if err != nil {
		return "", err
	}
	d.agent = a
	return "it serves CSI on a unix socket, and its pool is ready", d.ready(ctx)
}

// ready waits until the pool is.
func (d *demo) ready(ctx context.Context) error {
	var last error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if err := d.agent.gone(); err != nil {
			return err
		}
		p, err := d.pool(ctx)
		if err == nil && p.Ready {
			return nil
		}
		if last = err; err == nil {
			last = errors.New(p.Problem)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("the pool is not ready within a minute: %w", last)
}

func (d *demo) listDisks(ctx context.Context) (string, error) {
	if err := d.shells(ctx, "loam disk list"); err != nil {
		return "", err
	}
	disks, err := d.operator.Disks(ctx)
	if err != nil {
		return "", err
	}
	state := map[string]admin.Disk{}
	for _, disk := range disks {
		state[disk.Path] = disk
	}
	for _, path := range d.blank {
		if state[path].State != admin.DiskTaken || state[path].Pool != "fast" {
			return "", fmt.Errorf("%s should be taken by pool fast, and is %+v", path, state[path])
		}
	}
	if s := state[d.foreign]; s.State != admin.DiskRefused || s.Reason == "" {
		return "", fmt.Errorf("%s should be refused with a reason, and is %+v", d.foreign, s)
	}
	return "two taken, one left alone", nil
}

func (d *demo) listPools(ctx context.Context) (string, error) {
	if err := d.shells(ctx, "loam pool list"); err != nil {
		return "", err
	}
	p, err := d.pool(ctx)
	d.empty = spaceOf(p)
	if err == nil && (p.Available == 0 || len(p.Devices) != len(d.blank)) {
		err = fmt.Errorf("the pool should be empty and made of %d disks, and is %+v", len(d.blank), p)
	}
	return fmt.Sprintf("%v on %d disks", p.Available, len(p.Devices)), err
}

func spaceOf(p admin.Pool) space {
	return space{used: p.Used, available: p.Available, volumes: p.Volumes + p.Snapshots}
}

func (d *demo) create(ctx context.Context) (string, error) {
	return "made and formatted; nobody else has its blocks", d.shells(ctx, "loam volume create data --size 128Mi")
}

func (d *demo) useIt(ctx context.Context) (_ string, err error) {
	if err := d.shells(ctx, "loam volume mount data "+data, "head -c 32M /dev/urandom > "+data+"/"+ledger+" && sync "+data+"/"+ledger); err != nil {
		return "", err
	}
	d.fileSum, err = d.sum(ctx, "sha256sum "+data+"/"+ledger)
	return "32 MiB on the volume", err
}

func (d *demo) showRoom(ctx context.Context) (string, error) {
	if err := d.shells(ctx, "df -h "+data, "loam pool show fast"); err != nil {
		return "", err
	}
	p, err := d.pool(ctx)
	if err == nil && (p.Available >= d.empty.available || p.Used < 32*lvm.MiB) {
		err = fmt.Errorf("128 MiB promised and 32 MiB written should show, and the pool is %+v", p)
	}
	return fmt.Sprintf("%v used, %v promised, room for %v", p.Used, p.Promised, p.Available), err
}

func (d *demo) grow(ctx context.Context) (string, error) {
	// In all, more than the volume has room for: without the growth, the writer would run out of space.
	w := &writer{path: data + "/log", before: 48, least: 96}
	stop := make(chan struct{})
	var both errgroup.Group
	both.Go(func() error { return w.write(stop) })
	both.Go(func() error {
		defer close(stop)
		return d.shells(ctx, "loam volume expand data --size 512Mi")
	})
	if err := both.Wait(); err != nil {
		return "", err
	}
	if err := d.shells(ctx, "df -h "+data); err != nil {
		return "", err
	}
	if err := w.verify(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d MiB written, %d while it grew, every byte right; 1 MiB took %d ms at most", w.blocks, w.during, w.longest.Milliseconds()), nil
}

func (d *demo) snapshot(ctx context.Context) (string, error) {
	return "it shares the volume's blocks", d.shells(ctx, "loam volume snapshot data monday", "loam volume list --snapshots")
}

func (d *demo) change(ctx context.Context) (string, error) {
	sum, err := d.sum(ctx, "echo 'one line too many' >> "+data+"/"+ledger+" && sha256sum "+data+"/"+ledger)
	if err == nil && sum == d.fileSum {
		err = fmt.Errorf("the checksum should have changed, and is still %s", sum)
	}
	return "another checksum", err
}

func (d *demo) restore(ctx context.Context) (string, error) {
	return "mounted beside the one that it came from", d.shells(ctx,
		"loam volume restore monday again", "loam volume mount again "+again, "loam volume list")
}

func (d *demo) compare(ctx context.Context) (string, error) {
	restored, err := d.sum(ctx, "sha256sum "+again+"/"+ledger)
	if err != nil {
		return "", err
	}
	changed, err := d.sum(ctx, "sha256sum "+data+"/"+ledger)
	if err != nil {
		return "", err
	}
	if restored != d.fileSum || changed == d.fileSum {
		return "", fmt.Errorf("before the snapshot the checksum was %s; restored it is %s, and changed %s", d.fileSum, restored, changed)
	}
	return "the restored file is the one of before the change; the changed one is not", nil
}

func (d *demo) measure(ctx context.Context) (string, error) {
	if err := d.shells(ctx, "loam bench run "+data+" --engine built-in --size 32Mi --runtime 200ms --warm-up 50ms --repetitions 1"); err != nil {
		return "", err
	}
	left, err := filepath.Glob(data + "/loam-bench-*")
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("the measurement should leave nothing behind, and left %v", left)
	}
	return "as much moved as the kernel counted, and nothing was left behind", err
}

func (d *demo) remove(ctx context.Context) (string, error) {
	return "two volumes and a snapshot are gone", d.shells(ctx,
		"loam volume unmount data", "loam volume unmount again", "loam volume delete data again monday")
}

func (d *demo) spaceIsBack(ctx context.Context) (string, error) {
	if err := d.shells(ctx, "loam pool list"); err != nil {
		return "", err
	}
	p, err := d.pool(ctx)
	if err == nil && spaceOf(p) != d.empty {
		err = fmt.Errorf("the pool should be as empty as before (%+v), and is %+v", d.empty, spaceOf(p))
	}
	return "as much as before the first volume", err
}

func (d *demo) endAgent(ctx context.Context) (string, error) {
	d.screen.command("kill -TERM $!")
	a := d.agent
	d.agent = nil
	if err := a.stop(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, a.logTail())
	}
	sum, err := d.sumDisk(ctx)
	if err == nil && sum != d.foreignSum {
		err = fmt.Errorf("%s has another checksum than at first, %s", d.foreign, d.foreignSum)
	}
	return d.foreign + " is byte for byte what it was", err
}
