package inside

import (
	"fmt"
	"os"
)

// lvmConf makes lvm work in a guest with no udev, no dmeventd and no lvmpolld, for Loam as for a person who types lvm
// commands: lvm.conf(5). use_aio=0 saves about 20 ms a command.
const lvmConf = `global {
	use_lvmpolld = 0
	use_lvmlockd = 0
	use_aio = 0
}
devices {
	dir = "/dev"
	scan = [ "/dev" ]
	obtain_device_list_from_udev = 0
	external_device_info_source = "none"
	use_devicesfile = 0
}
activation {
	udev_sync = 0
	udev_rules = 0
	monitoring = 0
}
`

// lvmLocalConf, which LVM reads after lvm.conf and with it, has LVM take 256 KiB of memory before it suspends a device, not 8 MiB.
// Taking a page costs User Mode Linux 50 µs, 0.1 s for each command that changes something: four tenths of its time. The
// 8 MiB are there for machines that are so short of memory that they write to the very device that is suspended. Tests give
// agents this file, too (node/nodetest); the demo does not, and shows what agents do by themselves.
const lvmLocalConf = `activation {
	reserved_memory = 256
}
`

func configureLVM() error {
	for name, text := range map[string]string{"lvm.conf": lvmConf, "lvmlocal.conf": lvmLocalConf} {
		if err := os.WriteFile("/etc/lvm/"+name, []byte(text), 0o644); err != nil {
			return fmt.Errorf("configure lvm: %w", err)
		}
	}
	return nil
}
