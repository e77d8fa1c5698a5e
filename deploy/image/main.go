// Command image builds Loam's container image as a tar file, without a container engine: a layer of Debian packages, and one
// with the binary. It needs apt-get and dpkg-deb, and no root. Run it as `make image`. With flags it builds others, for tests.
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
	"strings"
)

// imageName is what the chart asks for.
const imageName = "ghcr.io/loam-storage/loam:0.1.0"

// loamPackages are what the agent runs (docs/dependencies.md), and base-files for the folders that everyone expects.
const loamPackages = "base-files,e2fsprogs,lvm2,thin-provisioning-tools,util-linux,xfsprogs"

// options are the flags.
type options struct {
	name, packages, binary, cache, output string
}

func main() {
	var o options
	flag.StringVar(&o.name, "name", imageName, "`NAME:TAG` of the image")
	flag.StringVar(&o.packages, "packages", loamPackages, "Debian's `PACKAGES` to begin with, with commas between; empty for none")
	flag.StringVar(&o.binary, "binary", "bin/loam", "`FILE` of the static binary that runs, as /usr/bin/…; empty for none")
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
	trees, err := o.trees(ctx)
	if err != nil {
		return err
	}
	architecture, err := architecture(ctx)
	if err != nil {
		return err
	}
	i := image{name: o.name, architecture: architecture}
	if o.binary != "" {
		i.entrypoint = []string{"/usr/bin/" + filepath.Base(o.binary)}
	}
	for _, t := range trees {
		l, err := t.layer()
		if err != nil {
			return err
		}
		i.layers = append(i.layers, l)
	}
	return writeWhole(o.output, i)
}

// trees are what the layers hold.
func (o options) trees(ctx context.Context) ([]*tree, error) {
	var all []*tree
	if o.packages != "" {
		base, err := debian(ctx, o.cache, strings.Split(o.packages, ","))
		if err != nil {
			return nil, err
		}
		all = append(all, base)
	}
	if o.binary != "" {
		binary, err := os.ReadFile(o.binary)
		if err != nil {
			return nil, err
		}
		top := newTree()
		top.put("usr/bin/"+filepath.Base(o.binary), 0o755, binary)
		all = append(all, top)
	}
	return all, nil
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
