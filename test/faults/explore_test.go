package faults

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

func TestExplore5(t *testing.T) {
	for _, command := range []string{"vgcreate"} {
		disks := lvmtest.RequireDisks(t, 2)
		config := nodetest.OnePool("thin", disks...)
		path, trace := lvmtest.Program{Commands: command, After: "kill -KILL $PPID"}.Make(t)
		self, _ := os.Executable()
		run := func(path, dir string) {
			t.Setenv(lvmEnv, path)
			c := nodetest.Command(t, nodetest.Options{Config: config, Dir: dir, Binary: self})
			t.Log(c.Run())
		}
		run(path, t.TempDir())
		all := lvmtest.Cuts(trace())
		t.Logf("%s: %d cuts %+v", command, len(all), all)
		nodetest.Deactivate(t, disks[0], "loam-thin")
		for i, at := range all {
			t.Run(command+strconv.Itoa(i), func(t *testing.T) {
				lvmtest.RequireDisks(t, 2)
				os.RemoveAll("/dev/loam-thin")
				_ = i
				dir := t.TempDir()
				path, _ := lvmtest.Program{Commands: command, At: &at, After: "kill -KILL $PPID"}.Make(t)
				run(path, dir)
				out, _ := exec.Command("sh", "-c", "lvs -a --noheadings -o lv_name,lv_attr,lv_size,seg_type,lv_tags 2>&1; dmsetup ls").CombinedOutput()
				t.Logf("left: %q", out)
				agent := nodetest.Start(t, nodetest.Options{Config: config, Dir: dir})
				pools, err := agent.Admin.Pools(context.Background())
				t.Logf("%+v: ready %v, problem %s, %v", at, pools[0].Ready, pools[0].Problem, err)
				d, _ := agent.Admin.Disks(context.Background())
				for _, d := range d {
					t.Logf("%s %s %s", d.Path, d.State, d.Reason)
				}
				agent.Stop()
				out, _ = exec.Command("sh", "-c", "lvs -a --noheadings -o lv_name,lv_attr,lv_size,seg_type,lv_tags 2>&1; dmsetup ls").CombinedOutput()
				t.Logf("came: %q", out)
			})
		}
	}
}
