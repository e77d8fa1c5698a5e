package metrics

import (
	"slices"
	"strings"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// device is the number of a volume's device.
type device struct{ major, minor uint32 }

// volumes tells of all but those that are being wiped.
func (s scrape) volumes(all []pool.Volume) {
	numbers, err := s.Numbers()
	if err != nil {
		numbers = lvm.Numbers(nil).Of // what needs them cannot be told, which its absence shows
	}
	labels := map[device][]string{} // of those with a device
	for _, v := range all {
		if v.Record.Kind != volume.Volume {
			continue
		}
		namespace, claim, _ := strings.Cut(v.Record.Claim, "/")
		of := []string{v.Pool, v.LV.Name, namespace, claim}
		s.tell(volumeSize, float64(v.LV.Size), of...)
		s.tell(volumeActive, truth(v.LV.Active), of...)
		if v.LV.Segment == lvm.Thin {
			s.tell(volumeMapped, float64(v.LV.Mapped), of...)
		}
		if major, minor, ok := numbers(v.Group, v.LV.Name); ok {
			labels[device{major, minor}] = of
		}
	}
	if len(labels) > 0 {
		s.io(labels)
		s.fileSystems(labels)
	}
}

// sector is the kernel's unit of what was read and written, whatever the disk's is (Documentation/admin-guide/iostats.rst).
const sector = 512

func (s scrape) io(labels map[device][]string) {
	disks, err := s.Disks()
	if err != nil {
		return
	}
	const millisecond = 1e-3
	for _, d := range disks {
		of, ours := labels[device{d.MajorNumber, d.MinorNumber}]
		if !ours {
			continue
		}
		s.tell(volumeReads, float64(d.ReadIOs), of...)
		s.tell(volumeReadBytes, float64(d.ReadSectors)*sector, of...)
		s.tell(volumeReadTime, float64(d.ReadTicks)*millisecond, of...)
		s.tell(volumeWrites, float64(d.WriteIOs), of...)
		s.tell(volumeWritten, float64(d.WriteSectors)*sector, of...)
		s.tell(volumeWriteTime, float64(d.WriteTicks)*millisecond, of...)
		s.tell(volumeInFlight, float64(d.IOsInProgress), of...)
		s.tell(volumeBusy, float64(d.IOsTotalTicks)*millisecond, of...)
	}
}

func (s scrape) fileSystems(labels map[device][]string) {
	mounted, err := s.FileSystems(func(major, minor uint32) bool { return labels[device{major, minor}] != nil })
	if err != nil {
		return
	}
	for _, m := range mounted {
		of := labels[device{m.Major, m.Minor}]
		s.tell(volumeFSSize, float64(m.Size), of...)
		s.tell(volumeFSUsed, float64(m.Used), of...)
		s.tell(volumeFSFree, float64(m.Available), of...)
		s.tell(volumeFiles, float64(m.Files), of...)
		s.tell(volumeFilesFree, float64(m.FilesFree), of...)
		for _, p := range m.Pods {
			with := append(slices.Clone(of), p.UID)
			s.tell(podWaiting, p.Pressure.Waiting.Seconds(), with...)
			s.tell(podStalled, p.Pressure.Stalled.Seconds(), with...)
		}
	}
}
