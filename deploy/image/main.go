// Command image builds Loam's container image as a tar file, without a container engine: a layer of Debian packages, and one
// with the binary. It needs apt-get and dpkg-deb, and no root. Run it as `make image`.
//
// The tar is an OCI image layout (image-spec, "Image Layout") and what `docker save` writes at once, so that `ctr images
// import` and `docker load` both take it. The same packages and the same binary give the same bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
)

// imageName is what the chart asks for.
const imageName = "ghcr.io/loam-storage/loam:0.1.0"

// packages are what the agent runs (docs/dependencies.md), and base-files for the folders that everyone expects.
var packages = []string{"base-files", "e2fsprogs", "lvm2", "thin-provisioning-tools", "util-linux", "xfsprogs"}

// options are the flags.
type options struct {
	name, binary, cache, output string
}

func main() {
	var o options
	flag.StringVar(&o.name, "name", imageName, "`NAME:TAG` of the image")
	flag.StringVar(&o.binary, "loam", "bin/loam", "`FILE` of the static binary")
	flag.StringVar(&o.cache, "cache", ".cache/image", "`DIRECTORY` to keep Debian's packages in")
	flag.StringVar(&o.output, "o", "bin/loam.tar", "`FILE` to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "image: %s is in %s\n", o.name, o.output)
}

func run(ctx context.Context, o options) error {
	base, architecture, err := debian(ctx, o.cache)
	if err != nil {
		return err
	}
	binary, err := os.ReadFile(o.binary)
	if err != nil {
		return err
	}
	loam := newTree()
	loam.put("usr/bin/loam", 0o755, binary)
	i := image{name: o.name, architecture: architecture, entrypoint: []string{"/usr/bin/loam"}}
	for _, t := range []*tree{base, loam} {
		l, err := t.layer()
		if err != nil {
			return err
		}
		i.layers = append(i.layers, l)
	}
	return writeWhole(o.output, i)
}

// writeWhole writes the file, or leaves what was there.
func writeWhole(path string, i image) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".image-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when all went well
	err = i.write(f)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Chmod(f.Name(), fs.FileMode(0o644))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
