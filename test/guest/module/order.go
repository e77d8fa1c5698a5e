// Package module reads what depmod(8) wrote, modules.dep and modules.builtin, and says which files of a kernel to load, in which order,
// so that neither a guest's init nor the maker of an initramfs needs modprobe.
package module

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// LoadOrder gives the files, relative to the folder of modules.dep, that load the named modules: each after everything
// it depends on, none twice. Those that modules.builtin lists need no loading; a name in neither list is an error.
// Hyphens and underscores in names are the same, as for modprobe.
func LoadOrder(modulesDep, modulesBuiltin string, names []string) ([]string, error) {
	lines := parse(modulesDep)
	builtIn := map[string]bool{}
	for file := range strings.Lines(modulesBuiltin) {
		builtIn[canonical(file)] = true
	}
	var order []string
	for _, name := range names {
		if builtIn[canonical(name)] {
			continue
		}
		line, ok := lines[canonical(name)]
		if !ok {
			return nil, fmt.Errorf("the kernel has no module %s", name)
		}
		// depmod lists a module's needs transitively, the deepest last.
		for _, file := range slices.Backward(line.needs) {
			order = appendNew(order, file)
		}
		order = appendNew(order, line.file)
	}
	return order, nil
}

func appendNew(list []string, file string) []string {
	if slices.Contains(list, file) {
		return list
	}
	return append(list, file)
}

type entry struct {
	file  string
	needs []string
}

func parse(modulesDep string) map[string]entry {
	lines := map[string]entry{}
	for line := range strings.Lines(modulesDep) {
		file, needs, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok {
			lines[canonical(file)] = entry{file, strings.Fields(needs)}
		}
	}
	return lines
}

// canonical is a module's name without folder, .ko and compression, with underscores.
func canonical(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}
