package filesystem

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestTargetIsAbsoluteCleanAndBeneathTheRoot(t *testing.T) {
	for _, c := range []struct{ root, target, want string }{
		{"/r", "/r/a", "a"},
		{"/r", "/r/a b/..c/d", "a b/..c/d"},
		{"/r", "/r/...", "..."},
		{"/", "/a/b", "a/b"},
		{"/r", "", ""},
		{"/r", "/", ""},
		{"/r", "/r", ""},
		{"/", "/", ""},
		{"/r", "a", ""},
		{"/r", "r/a", ""},
		{"/r", "/rr/a", ""},
		{"/r", "/etc", ""},
		{"/r", "/r/../etc", ""},
		{"/r", "/r/..", ""},
		{"/r", "/r/a/", ""},
		{"/r", "/r//a", ""},
		{"/r", "//r/a", ""},
		{"/r", "/r/./a", ""},
		{"/r", "/r/a/..", ""},
		{"/r", "/r/a\x00b", ""},
		{"/r", "/r\x00/a", ""},
		{"", "/a", ""},
	} {
		got, err := Mounter{Root: c.root}.relative(c.target)
		if got != c.want || (c.want == "") != errors.Is(err, ErrOutsideRoot) {
			t.Errorf("%q below %q is %q, %v; want %q", c.target, c.root, got, err, c.want)
		}
	}
}

// tree is a root with a folder, links that lead out of it and to a neighbour, and a folder beside it.
func tree(t *testing.T) (m Mounter, outside string) {
	t.Helper()
	top := t.TempDir()
	root, outside := filepath.Join(top, "root"), filepath.Join(top, "outside")
	err := errors.Join(os.MkdirAll(filepath.Join(root, "pod"), 0o755), os.Mkdir(outside, 0o755),
		os.Symlink(outside, filepath.Join(root, "out")), os.Symlink("pod", filepath.Join(root, "link")),
		os.Symlink("../outside", filepath.Join(root, "pod", "up")))
	if err != nil {
		t.Fatal(err)
	}
	return Mounter{Root: root}, outside
}

func TestNoPathLeadsThroughALink(t *testing.T) {
	m, outside := tree(t)
	for _, rel := range []string{"out", "out/x", "link", "link/x", "pod/up", "pod/up/x"} {
		target := filepath.Join(m.Root, rel)
		for _, file := range []bool{false, true} {
			if h, err := m.ensure(target, file); !errors.Is(err, ErrSymlink) {
				t.Errorf("ensure(%s) = %v, %v; want ErrSymlink", rel, h, err)
			}
		}
		if err := m.Unmount(target); !errors.Is(err, ErrSymlink) {
			t.Errorf("Unmount(%s) = %v; want ErrSymlink", rel, err)
		}
		if err := m.Remove(target); !errors.Is(err, ErrSymlink) {
			t.Errorf("Remove(%s) = %v; want ErrSymlink", rel, err)
		}
	}
	for _, dir := range []string{outside, filepath.Join(m.Root, "pod")} {
		if made, err := filepath.Glob(filepath.Join(dir, "x")); err != nil || len(made) > 0 {
			t.Errorf("made %q, %v", made, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(m.Root, "link")); err != nil {
		t.Errorf("the link itself: %v", err)
	}
}

func TestTargetIsMadeInAnExistingFolderOnly(t *testing.T) {
	m, _ := tree(t)
	for _, file := range []bool{false, true} {
		for _, name := range []string{"folder", "file"} {
			target := filepath.Join(m.Root, name)
			if name == "file" {
				target = filepath.Join(m.Root, "pod", name)
			}
			for range 2 { // a second time it is there
				h, err := m.ensure(target, file)
				if err != nil {
					t.Fatal(err)
				}
				h.close()
			}
			if info, err := os.Lstat(target); err != nil || info.IsDir() == file {
				t.Errorf("made %v, %v", info, err)
			}
			for range 2 {
				if err := m.Remove(target); err != nil {
					t.Error(err)
				}
			}
			if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after Remove: %v", err)
			}
		}
		if h, err := m.ensure(filepath.Join(m.Root, "a", "b"), file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("ensure without a parent = %v, %v; want fs.ErrNotExist", h, err)
		}
	}
}

func TestRemoveKeepsWhatBindDidNotMake(t *testing.T) {
	m, _ := tree(t)
	file, pipe := filepath.Join(m.Root, "pod", "file"), filepath.Join(m.Root, "data")
	if err := errors.Join(os.WriteFile(file, []byte("x"), 0o600), os.MkdirAll(filepath.Join(pipe, "deep"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{file, filepath.Dir(file), pipe} {
		if err := m.Remove(target); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("Remove(%s) = %v; want ErrNotEmpty", target, err)
		}
		if _, err := os.Lstat(target); err != nil {
			t.Errorf("%s is gone: %v", target, err)
		}
	}
}

func TestUndoingWhatIsNotThereIsDone(t *testing.T) {
	m, _ := tree(t)
	for _, rel := range []string{"gone", "gone/deeper", "pod", "pod/gone"} {
		if err := m.Unmount(filepath.Join(m.Root, rel)); err != nil {
			t.Errorf("Unmount(%s) = %v", rel, err)
		}
	}
	for _, rel := range []string{"gone", "gone/deeper", "pod/gone"} {
		if err := m.Remove(filepath.Join(m.Root, rel)); err != nil {
			t.Errorf("Remove(%s) = %v", rel, err)
		}
	}
	for name, err := range map[string]error{
		"Unmount": m.Unmount("/etc"), "Remove": m.Remove("/etc"), "Stage": m.Stage(StageRequest{Target: "/etc"}),
		"Bind": m.Bind(BindRequest{Source: m.Root + "/pod", Target: "/etc"}),
	} {
		if !errors.Is(err, ErrOutsideRoot) {
			t.Errorf("%s of /etc = %v; want ErrOutsideRoot", name, err)
		}
	}
}
