package lvm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// settings are given with every command, so that neither a host's lvm.conf nor its absence changes what LVM does
// (lvm.conf(5); lvmconfig --type default --withcomments explains each). A setting that another version of LVM does not know is ignored.
const settings = `config{checks=0} activation{` +
	// A container has no udevd to wait for: LVM makes the device nodes itself.
	`udev_sync=0 udev_rules=0 verify_udev_operations=0 ` +
	// No dmeventd: the agent watches its pools. lvcreate --errorwhenfull is refused by 2.03.16 for thin pools.
	`monitoring=0 error_when_full=1 thin_pool_autoextend_threshold=100 use_linear_target=1 ` +
	// KiB that LVM takes and touches before it suspends a device, as it may not wait for memory then (docs/decisions/0027).
	`reserved_memory=1024} ` +
	`devices{` +
	// What --devices names is all there is: neither the host's list nor a filter takes from it, or adds to it.
	`use_devicesfile=0 hints="none" filter=["a|.*|"] global_filter=["a|.*|"] ` +
	// A tenant's volume may carry a PV header of its own: volumes are never looked into.
	`scan_lvs=0 ` +
	`obtain_device_list_from_udev=0 external_device_info_source="none" issue_discards=0} ` +
	// use_aio=0 saves 20 ms a command; nothing may be prompted for, and a lock is waited for.
	`global{use_lvmpolld=0 use_aio=0 use_lvmlockd=0 wait_for_locks=1 notify_dbus=0 suffix=0 units="b"} ` +
	`log{syslog=0 verbose=0 report_command_log=0 prefix="  "} metadata{record_lvs_history=0} ` +
	`report{time_format="%s" list_item_separator="," binary_values_as_numeric=0 mark_hidden_devices=1 ` +
	`two_word_unknown_device=0 compact_output=0} `

// config is the value of --config and the text of an lvm.conf.
func config(backupDir string) string {
	if backupDir == "" {
		return settings + `backup{backup=0 archive=0}`
	}
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(backupDir)
	return settings + `backup{backup=1 archive=0 backup_dir="` + quoted + `"}`
}

// writeConfig writes lvm.conf before the first command: whole or not at all, as another agent's command may be reading it.
func (l *LVM) writeConfig() error {
	dir := l.options.ConfigDir
	if dir == "" {
		return nil
	}
	l.configuring.Lock()
	defer l.configuring.Unlock()
	if l.configured {
		return nil
	}
	file := filepath.Join(dir, "lvm.conf")
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.WriteFile(file+".new", []byte(config(l.options.BackupDir)+"\n"), 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		return fmt.Errorf("LVM's configuration: %w", err)
	}
	l.configured = true
	return nil
}
