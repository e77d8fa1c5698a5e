package machine

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFirstDependency(t *testing.T) {
	for name, test := range map[string]struct{ description, want string }{
		"with a version": {"Package: linux-image-cloud-amd64\nVersion: 6.1\nDepends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)\n",
			"linux-image-6.1.0-56-cloud-amd64"},
		"the first of several": {"Depends: a, b (>= 1), c\n", "a"},
		"alone":                {"Pre-Depends: x\nDepends: a\n", "a"},
		"none":                 {"Package: a\nPre-Depends: x\n", ""},
	} {
		if got := firstDependency(test.description); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestFindKernel(t *testing.T) {
	folder := t.TempDir()
	if kernel, err := findKernel(folder); err == nil {
		t.Errorf("found %+v in an empty folder", kernel)
	}
	if err := os.Mkdir(filepath.Join(folder, "boot"), 0o755); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(folder, "boot", "vmlinuz-6.1.0-56-cloud-amd64")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const release = "6.1.0-56-cloud-amd64"
	want := kernelImage{release, image, filepath.Join(folder, "lib/modules", release)}
	if got, err := findKernel(folder); err != nil || got != want {
		t.Errorf("findKernel = %+v, %v; want %+v", got, err, want)
	}
}
