package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// merged are folders whose contents are in /usr.
var merged = []string{"bin", "lib", "lib32", "lib64", "libx32", "sbin"}

// tree is a file system, by paths without a slash at the beginning. Two paths of one *file are hard links.
type tree struct {
	files map[string]*file
}

type file struct {
	kind     byte // tar.TypeReg, TypeDir or TypeSymlink
	mode     fs.FileMode
	uid, gid int
	target   string // of a symbolic link
	content  []byte
}

func newTree() *tree { return &tree{files: map[string]*file{}} }

func (t *tree) has(name string) bool { return t.files[name] != nil }

// put sets a file of root's.
func (t *tree) put(name string, mode fs.FileMode, content []byte) {
	t.files[name] = &file{kind: tar.TypeReg, mode: mode, content: content}
}

// link sets a symbolic link.
func (t *tree) link(name, target string) {
	t.files[name] = &file{kind: tar.TypeSymlink, mode: 0o777, target: target}
}

// add takes the files of a tar that are wanted. Folders may be there already, and nothing else may.
func (t *tree) add(r io.Reader, wanted func(path string) bool) error {
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := place(h.Name)
		if name == "" || !wanted(name) || h.Typeflag == tar.TypeDir && !wanted(name+"/") {
			continue
		}
		if err := t.addOne(archive, h, name); err != nil {
			return err
		}
	}
}

func (t *tree) addOne(archive io.Reader, h *tar.Header, name string) error {
	f := &file{kind: h.Typeflag, mode: fs.FileMode(h.Mode & 0o7777), uid: h.Uid, gid: h.Gid}
	before := t.files[name]
	if before != nil && (before.kind != tar.TypeDir || f.kind != tar.TypeDir) {
		return fmt.Errorf("%s: another package has it, too", name)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if before != nil {
			return nil
		}
	case tar.TypeReg:
		content, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		f.content = content
	case tar.TypeSymlink:
		f.target = h.Linkname
	case tar.TypeLink:
		if f = t.files[place(h.Linkname)]; f == nil {
			return fmt.Errorf("%s: a link to %s, which is not there", name, h.Linkname)
		}
	default:
		return fmt.Errorf("%s: files of type %q are not known here", name, h.Typeflag)
	}
	t.files[name] = f
	return nil
}

// place is where a package's path is to be found: without "./", and in /usr if its folder has moved there. "" is the root.
func place(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if first, _, _ := strings.Cut(name, "/"); slices.Contains(merged, first) {
		return "usr/" + name
	}
	return name
}

// write gives the tree as a tar: in order of the paths, every folder before what is in it, all of 1970.
func (t *tree) write(w io.Writer) error {
	archive := tar.NewWriter(w)
	written := map[*file]string{}
	all := t.withParents()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f := all[name]
		h := &tar.Header{Name: name, Typeflag: f.kind, Mode: int64(f.mode), Uid: f.uid, Gid: f.gid, Linkname: f.target, Format: tar.FormatPAX}
		first, again := written[f]
		switch {
		case again:
			h.Typeflag, h.Linkname = tar.TypeLink, first
		case f.kind == tar.TypeDir:
			h.Name += "/"
		default:
			h.Size = int64(len(f.content))
			written[f] = name
		}
		if err := archive.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if h.Size > 0 {
			if _, err := archive.Write(f.content); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return archive.Close()
}

// withParents are the files, with a folder of root's for each that nobody brought.
func (t *tree) withParents() map[string]*file {
	all := maps.Clone(t.files)
	for name := range t.files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if all[dir] == nil {
				all[dir] = &file{kind: tar.TypeDir, mode: 0o755}
			}
		}
	}
	return all
}
