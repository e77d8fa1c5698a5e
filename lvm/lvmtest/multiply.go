package lvmtest

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Multiply makes many thin volumes of one that is named v00000, in seconds where LVM would take minutes: it writes the group's
// metadata anew with copies of the volume in it, and tells the pool of each. The group is inactive before and after.
func Multiply(t testing.TB, disk, group, pool string, n int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "metadata")
	run(t, "lvm", "vgcfgbackup", "--devices", disk, "--file", file, group)
	text, err := os.ReadFile(file)
	must(t, err)
	one := regexp.MustCompile(`(?s)\n\t\tv00000 \{.*?\n\t\t\}\n`).FindString(string(text))
	if one == "" {
		t.Fatalf("no volume v00000 in %s", text)
	}
	id, number := regexp.MustCompile(`id = "[^"]*"`), regexp.MustCompile(`device_id = \d+`)
	var all strings.Builder
	for i := 1; i < n; i++ {
		copied := strings.ReplaceAll(one, "v00000", fmt.Sprintf("v%05d", i))
		copied = id.ReplaceAllString(copied, `id = "`+uuid()+`"`)
		all.WriteString(number.ReplaceAllString(copied, fmt.Sprintf("device_id = %d", 1000+i)))
	}
	must(t, os.WriteFile(file, []byte(strings.Replace(string(text), one, one+all.String(), 1)), 0o600))
	run(t, "lvm", "lvchange", "--devices", disk, "-ay", group+"/"+pool)
	device := strings.ReplaceAll(group, "-", "--") + "-" + strings.ReplaceAll(pool, "-", "--") + "-tpool"
	for i := 1; i < n; i++ {
		run(t, "dmsetup", "message", device, "0", fmt.Sprintf("create_thin %d", 1000+i))
	}
	run(t, "lvm", "lvchange", "--devices", disk, "-an", group+"/"+pool)
	run(t, "lvm", "vgcfgrestore", "--devices", disk, "--yes", "--force", "--file", file, group)
}

// uuid is one as LVM makes them.
func uuid() string {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	s := string(b)
	return strings.Join([]string{s[:6], s[6:10], s[10:14], s[14:18], s[18:22], s[22:26], s[26:]}, "-")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}
