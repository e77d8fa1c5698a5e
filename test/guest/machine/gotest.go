package machine

import (
	"path/filepath"
	"slices"
	"strings"
)

// testOutputs are the folders of the files that `go test -exec` asks a test binary to write: coverage, profiles, the
// list of files it opened. See `go help testflag`; go test reads some of them afterwards. GOCOVERDIR names one for any
// program built with coverage (https://go.dev/doc/build-cover).
func testOutputs(args, env []string) []string {
	outputs := []string{"testlogfile", "coverprofile", "gocoverdir", "outputdir",
		"cpuprofile", "memprofile", "blockprofile", "mutexprofile", "trace"}
	var folders []string
	for _, arg := range args {
		name, value, ok := strings.Cut(strings.TrimPrefix(arg, "-test."), "=")
		if !ok || !strings.HasPrefix(arg, "-test.") || !slices.Contains(outputs, name) {
			continue
		}
		if name != "gocoverdir" && name != "outputdir" {
			value = filepath.Dir(value)
		}
		folders = append(folders, value)
	}
	for _, variable := range env {
		if folder, ok := strings.CutPrefix(variable, "GOCOVERDIR="); ok {
			folders = append(folders, folder)
		}
	}
	return folders
}
