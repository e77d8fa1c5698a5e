// Package module reads modules.dep (depmod(8), modprobe(8)) and says which files of a kernel to load, in which order,
// so that neither a guest's init nor the maker of an initramfs needs modprobe.
package module

import (
	"fmt"
	"path"
	"strings"
)

// LoadOrder gives the files, relative to the folder of modules.dep, that load the named modules: each after
// everything it depends on, none twice. Hyphens and underscores in names are the same, as for modprobe. A name that
// modules.dep does not list is an error, so ask for modules that the kernel has built in with Known.
func LoadOrder(modulesDep string, names []string) ([]string, error) {
	lines := parse(modulesDep)
	var order []string
	seen := map[string]bool{}
	add := func(file string) {
		if !seen[file] {
			seen[file] = true
			order = append(order, file)
		}
	}
	for _, name := range names {
		line, ok := lines[canonical(name)]
		if !ok {
			return nil, fmt.Errorf("kernel module %s is not in modules.dep", name)
		}
		// depmod lists a module's needs transitively, the deepest last.
		for i := len(line.needs) - 1; i >= 0; i-- {
			add(line.needs[i])
		}
		add(line.file)
	}
	return order, nil
}

// Known keeps the names that modules.dep lists; the others are built in, or missing.
func Known(modulesDep string, names []string) []string {
	lines := parse(modulesDep)
	var known []string
	for _, name := range names {
		if _, ok := lines[canonical(name)]; ok {
			known = append(known, name)
		}
	}
	return known
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
