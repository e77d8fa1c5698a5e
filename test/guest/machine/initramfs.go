package machine

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/loam-storage/loam/test/guest/inside"
	"github.com/loam-storage/loam/test/guest/module"
	"github.com/loam-storage/loam/test/guest/wire"
)

// writeInitramfs makes what a virtual machine boots from: our init, and the modules that it takes to see the host's
// files. Not compressed, because the kernel would take longer to unpack it than QEMU to load it.
func writeInitramfs(out io.Writer, initPath string, kernel kernelImage) error {
	program, err := staticProgram(initPath)
	if err != nil {
		return err
	}
	archive := &cpioWriter{out: out}
	for _, folder := range []string{"proc", "sys", "dev", "tmp"} {
		archive.add(folder, cpioFolder, nil)
	}
	archive.add("init", cpioFile, program)
	files := []string{"modules.dep", "modules.builtin"}
	modules, err := earlyModules(kernel)
	if err != nil {
		return err
	}
	folders := map[string]bool{}
	for _, file := range append(files, modules...) {
		data, err := os.ReadFile(filepath.Join(kernel.modules, file))
		if err != nil {
			return err
		}
		name := path.Join("lib/modules", kernel.release, file)
		addFolders(archive, folders, path.Dir(name))
		archive.add(name, cpioFile, data)
	}
	return archive.close()
}

func addFolders(archive *cpioWriter, done map[string]bool, folder string) {
	if folder == "." || done[folder] {
		return
	}
	addFolders(archive, done, path.Dir(folder))
	done[folder] = true
	archive.add(folder, cpioFolder, nil)
}

func earlyModules(kernel kernelImage) ([]string, error) {
	listing, err := os.ReadFile(filepath.Join(kernel.modules, "modules.dep"))
	if err != nil {
		return nil, err
	}
	builtIn, err := os.ReadFile(filepath.Join(kernel.modules, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	return module.LoadOrder(string(listing), string(builtIn), inside.EarlyModules(wire.VirtioFS))
}

// staticProgram reads a program that needs no dynamic linker, as an initramfs has none.
func staticProgram(file string) ([]byte, error) {
	program, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("init %s: %w", file, err)
	}
	defer program.Close()
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("init %s is dynamically linked: build it with CGO_ENABLED=0", file)
		}
	}
	return os.ReadFile(file)
}
