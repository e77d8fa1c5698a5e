package node

import "runtime/debug"

// Version is the version of the module that the binary was built from; "devel" when that is not known.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
