package drill

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/loam-storage/loam/lvm"
)

// scsiDebug has the settings of the kernel's SCSI disk in memory: drivers/scsi/scsi_debug.c.
const scsiDebug = "/sys/bus/pseudo/drivers/scsi_debug/"

// scsi is a SCSI disk, of which there is one.
type scsi struct {
	d    *drill
	name string
}

func (s scsi) path() string { return "/dev/" + s.name }

// insertSCSI adds a SCSI disk, which waits ten seconds for an answer, not 30, before it asks again.
func (d *drill) insertSCSI(size lvm.Bytes) scsi {
	d.t.Helper()
	d.load("sd_mod") // where there is no udev, nobody else does
	d.load("scsi_debug", "dev_size_mb="+strconv.FormatInt(int64(size/lvm.MiB), 10))
	s := scsi{d: d}
	d.await("the SCSI disk is there", func() bool {
		found, _ := filepath.Glob(scsiDebug + "adapter0/host*/target*/*/block/*")
		if len(found) == 1 {
			s.name = filepath.Base(found[0])
			_, err := os.Stat(s.path())
			return err == nil
		}
		return false
	})
	d.t.Cleanup(func() {
		s.answers(true)
		_ = exec.Command("dmsetup", "remove", "--noudevsync", "loam--p-data").Run() // LVM does not know it without the disk
		if out, err := exec.Command("modprobe", "--remove", "scsi_debug").CombinedOutput(); err != nil {
			d.t.Errorf("modprobe --remove scsi_debug: %v: %s", err, out)
		}
	})
	s.set("/sys/block/"+s.name+"/device/timeout", "10")
	// WRITE SAME may take two minutes before the kernel asks again (drivers/scsi/sd.c), and what else has not been answered waits for that.
	disks, _ := filepath.Glob("/sys/block/" + s.name + "/device/scsi_disk/*/max_write_same_blocks")
	for _, file := range disks {
		s.set(file, "0")
	}
	return s
}

// load loads a module of the kernel, or skips the drill where there is none.
func (d *drill) load(module string, parameters ...string) {
	d.t.Helper()
	if out, err := exec.Command("modprobe", append([]string{module}, parameters...)...).CombinedOutput(); err != nil {
		d.t.Skipf("needs the kernel's module %s: %v: %s", module, err, out)
	}
}

// answers says whether the disk answers from now on, or is silent.
func (s scsi) answers(does bool) {
	s.d.t.Helper()
	const ignore = "4"
	every, options := "0", "0"
	if !does {
		every, options = "-1", ignore
	}
	s.set(scsiDebug+"every_nth", every)
	s.set(scsiDebug+"opts", options)
}

func (s scsi) set(file, value string) {
	s.d.t.Helper()
	if err := os.WriteFile(file, []byte(value), 0); err != nil {
		s.d.t.Fatal(err)
	}
}
