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

func configureLVM() error {
	if err := os.WriteFile("/etc/lvm/lvm.conf", []byte(lvmConf), 0o644); err != nil {
		return fmt.Errorf("configure lvm: %w", err)
	}
	return nil
}
