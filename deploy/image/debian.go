package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// What a running system needs besides its packages' files, which maintainer scripts would make.
const (
	passwd = "root:x:0:0:root:/root:/usr/sbin/nologin\nnonroot:x:65532:65532:nonroot:/nonexistent:/usr/sbin/nologin\n" +
		"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
	group = "root:x:0:\ndisk:x:6:\nnonroot:x:65532:\nnogroup:x:65534:\n"
)

// architecture is this machine's, in Debian's words, which are Go's as well.
func architecture(ctx context.Context) (string, error) {
	name, err := output(ctx, "/usr/bin/dpkg", "--print-architecture")
	return strings.TrimSpace(string(name)), err
}

// debian is the tree of the packages with all that they depend on.
func debian(ctx context.Context, cache string, packages []string) (*tree, error) {
	files, err := download(ctx, cache, packages)
	if err != nil {
		return nil, err
	}
	t := newTree()
	for _, file := range files {
		if err := t.unpack(ctx, file); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
	}
	// Debian has had these links since bookworm, and no package ships them (https://wiki.debian.org/UsrMerge).
	for _, name := range merged {
		if t.has("usr/" + name) {
			t.link(name, "usr/"+name)
		}
	}
	t.put("etc/passwd", 0o644, []byte(passwd))
	t.put("etc/group", 0o644, []byte(group))
	t.link("etc/mtab", "../proc/self/mounts")
	return t, nil
}

// download gets the packages' files, in order of their names.
func download(ctx context.Context, cache string, packages []string) ([]string, error) {
	names, err := plan(ctx, cache, packages)
	if err != nil {
		return nil, err
	}
	archives := filepath.Join(cache, "archives")
	if err := os.MkdirAll(filepath.Join(archives, "partial"), 0o755); err != nil {
		return nil, err
	}
	if _, err := apt(ctx, cache, packages, "--download-only"); err != nil {
		return nil, err
	}
	var files []string
	for _, name := range names {
		files = append(files, filepath.Join(archives, name))
	}
	return files, nil
}

// plan gives the files' names of the packages and of what they need.
func plan(ctx context.Context, cache string, packages []string) ([]string, error) {
	planned, err := apt(ctx, cache, packages, "--simulate")
	if err != nil {
		return nil, fmt.Errorf("%w\nDoes `apt-get update` help?", err)
	}
	return debs(string(planned)), nil
}

// apt installs as if nothing were installed: the image does not depend on the machine that it is made on.
func apt(ctx context.Context, cache string, packages []string, how string) ([]byte, error) {
	cache, err := filepath.Abs(cache)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	status := filepath.Join(cache, "status")
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		return nil, err
	}
	args := []string{"-q", "-y", "--no-install-recommends", "-o", "Dir::State::status=" + status,
		"-o", "Dir::State::extended_states=" + filepath.Join(cache, "extended_states"), "-o", "Dir::Cache::archives=" + filepath.Join(cache, "archives"),
		"-o", "Debug::NoLocking=true", "-o", "APT::Sandbox::User="}
	return output(ctx, "/usr/bin/apt-get", slices.Concat(args, []string{how, "install"}, packages)...)
}

// inst is a line of apt-get --simulate: "Inst lvm2 (2.03.16-2 Debian:12.11/stable [amd64])".
var inst = regexp.MustCompile(`(?m)^Inst (\S+) \((\S+) .*\[(\w+)\]\)`)

// debs are the files' names of what apt-get --simulate would install. A version's epoch ends in a colon, which apt writes as %3a.
func debs(planned string) []string {
	var names []string
	for _, m := range inst.FindAllStringSubmatch(planned, -1) {
		name, _, _ := strings.Cut(m[1], ":") // a foreign architecture's is named, too
		names = append(names, name+"_"+strings.ReplaceAll(m[2], ":", "%3a")+"_"+m[3]+".deb")
	}
	slices.Sort(names)
	return names
}

// unpack adds a package's files, and what it is, where scanners look for it in images without dpkg.
func (t *tree) unpack(ctx context.Context, deb string) error {
	files, err := output(ctx, "/usr/bin/dpkg-deb", "--fsys-tarfile", deb)
	if err != nil {
		return err
	}
	if err := t.add(bytes.NewReader(files), needed); err != nil {
		return err
	}
	control, err := output(ctx, "/usr/bin/dpkg-deb", "--field", deb)
	name, _, _ := strings.Cut(filepath.Base(deb), "_")
	t.put("var/lib/dpkg/status.d/"+name, 0o644, control)
	return err
}

// needed says whether a file of a package belongs into an image: what is for people to read does not, but licences do.
func needed(path string) bool {
	if strings.HasPrefix(path, "usr/share/doc/") {
		return strings.HasSuffix(path, "/copyright")
	}
	return !slices.ContainsFunc([]string{"usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/lintian/", "usr/share/bash-completion/"},
		func(folder string) bool { return strings.HasPrefix(path, folder) })
}

// output gives what a program prints; an error has what it complained of.
func output(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", program, err, &stderr)
	}
	return stdout.Bytes(), nil
}
