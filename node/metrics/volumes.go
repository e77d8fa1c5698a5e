package metrics

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

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
	labels := map[device][]*dto.LabelPair{} // of those with a device
	for _, v := range all {
		if v.Record.Kind != volume.Volume {
			continue
		}
		namespace, claim, _ := strings.Cut(v.Record.Claim, "/")
		of := prometheus.MakeLabelPairs(volumeSize.desc, []string{v.Pool, v.LV.Name, namespace, claim})
		s.tellWith(volumeSize, float64(v.LV.Size), of)
		s.tellWith(volumeActive, truth(v.LV.Active), of)
		if v.LV.Segment == lvm.Thin {
			s.tellWith(volumeMapped, float64(v.LV.Mapped), of)
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

func (s scrape) io(labels map[device][]*dto.LabelPair) {
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
		s.tellWith(volumeReads, float64(d.ReadIOs), of)
		s.tellWith(volumeReadBytes, float64(d.ReadSectors)*sector, of)
		s.tellWith(volumeReadTime, float64(d.ReadTicks)*millisecond, of)
		s.tellWith(volumeWrites, float64(d.WriteIOs), of)
		s.tellWith(volumeWritten, float64(d.WriteSectors)*sector, of)
		s.tellWith(volumeWriteTime, float64(d.WriteTicks)*millisecond, of)
		s.tellWith(volumeInFlight, float64(d.IOsInProgress), of)
		s.tellWith(volumeBusy, float64(d.IOsTotalTicks)*millisecond, of)
	}
}

func (s scrape) fileSystems(labels map[device][]*dto.LabelPair) {
	mounted, err := s.FileSystems(func(major, minor uint32) bool { return labels[device{major, minor}] != nil })
	if err != nil {
		return
	}
	for _, m := range mounted {
		of := labels[device{m.Major, m.Minor}]
		s.tellWith(volumeFSSize, float64(m.Size), of)
		s.tellWith(volumeFSUsed, float64(m.Used), of)
		s.tellWith(volumeFSFree, float64(m.Available), of)
		s.tellWith(volumeFiles, float64(m.Files), of)
		s.tellWith(volumeFilesFree, float64(m.FilesFree), of)
		for _, p := range m.Pods {
			with := append(slices.Clone(of), &dto.LabelPair{Name: &podLabels[len(podLabels)-1], Value: &p.UID})
			slices.SortFunc(with, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
			s.tellWith(podWaiting, p.Pressure.Waiting.Seconds(), with)
			s.tellWith(podStalled, p.Pressure.Stalled.Seconds(), with)
		}
	}
}
