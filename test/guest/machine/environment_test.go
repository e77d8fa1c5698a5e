package machine

import (
	"slices"
	"testing"
)

func TestEnvironment(t *testing.T) {
	disks := []string{"/dev/ubdb", "/dev/ubdc"}
	for _, test := range []struct {
		name   string
		caller []string
		want   []string
	}{
		{"nothing set", nil, []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
		{"passed through", []string{"HOME=/home/u", "CI=", "A=b=c"}, []string{"HOME=/home/u", "CI=", "A=b=c"}},
		{"the last of several values", []string{"A=1", "B=2", "A=3"}, []string{"A=3", "B=2"}},
		{"PATH gets what an ordinary user lacks", []string{"PATH=/bin:/x"}, []string{"PATH=/bin:/x:/usr/sbin:/sbin"}},
		{"PATH is left as it is when complete", []string{"PATH=/sbin:/usr/sbin"}, []string{"PATH=/sbin:/usr/sbin"}},
		{"disks and kernel are the guest's", []string{"LOAM_DISKS=/dev/sda", "LOAM_GUEST=no"},
			[]string{"LOAM_DISKS=/dev/ubdb,/dev/ubdc", "LOAM_GUEST=uml"}},
		{"root's", []string{"USER=u"}, []string{"USER=root", "LOGNAME=root"}},
	} {
		got := environment(test.caller, UML, disks)
		for _, variable := range test.want {
			if !slices.Contains(got, variable) {
				t.Errorf("%s: %q is not in %q", test.name, variable, got)
			}
		}
	}
	if got := environment([]string{"LVM_SYSTEM_DIR=/host"}, UML, nil); slices.Contains(got, "LVM_SYSTEM_DIR=/host") {
		t.Error("the host's LVM configuration reaches the guest")
	}
}

func TestTestOutputsAreWhereGoTestExpectsFiles(t *testing.T) {
	args := []string{"/tmp/go-build1/b001/x.test", "-test.testlogfile=/tmp/go-build1/b001/testlog.txt",
		"-test.paniconexit0", "-test.timeout=10m0s", "-test.gocoverdir=/tmp/cover", "-test.outputdir=/src/x",
		"-test.coverprofile=/tmp/go-build1/b001/_cover_.out", "-cpuprofile=/elsewhere/cpu", "-test.run=/a"}
	got := testOutputs(args, []string{"GOCOVERDIR=/cov", "HOME=/root"})
	want := []string{"/tmp/go-build1/b001", "/tmp/cover", "/src/x", "/tmp/go-build1/b001", "/cov"}
	if !slices.Equal(got, want) {
		t.Errorf("testOutputs = %q; want %q", got, want)
	}
}
