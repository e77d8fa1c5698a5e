package machine

import (
	"slices"
	"strings"
)

// environment is what the command sees: the caller's environment, of several values for one name the last, without
// what would lead lvm to the host's configuration, with the folders of administration tools in PATH, and with the
// guest's disks. The command is root's, whoever runs this program.
func environment(caller []string, kernel Kernel, disks []string) []string {
	values := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, variable := range caller {
		if name, value, ok := strings.Cut(variable, "="); ok && name != "" {
			values[name] = value
		}
	}
	delete(values, "LVM_SYSTEM_DIR")
	values["PATH"] = withAdministration(values["PATH"])
	values["USER"], values["LOGNAME"] = "root", "root"
	values["LOAM_GUEST"] = string(kernel)
	values["LOAM_DISKS"] = strings.Join(disks, ",")
	var env []string
	for name, value := range values {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// withAdministration adds to a PATH the folders that an ordinary user's often lacks.
func withAdministration(path string) string {
	folders := strings.Split(path, ":")
	for _, folder := range []string{"/usr/sbin", "/sbin"} {
		if !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return strings.Join(folders, ":")
}
