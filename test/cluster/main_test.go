package main

import (
	"slices"
	"testing"
)

func TestParseReadsWhatTheClusterShallBe(t *testing.T) {
	o, err := parse([]string{"--nodes=3", "--disks=2x4G", "--", "go", "test", "--nodes=1"})
	if err != nil {
		t.Fatal(err)
	}
	if o.nodes != 3 || !slices.Equal(o.disks, []int64{4 << 30, 4 << 30}) || !slices.Equal(o.args, []string{"go", "test", "--nodes=1"}) {
		t.Errorf("got %+v; want 3 nodes with two disks of 4 GiB each, and the command behind --", o)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"no command": {"--nodes=2"}, "no node": {"--nodes=0", "true"}, "more nodes than addresses": {"--nodes=10", "true"},
		"an unknown flag": {"--node=2", "true"}, "a disk without a unit": {"--disks=4", "true"}, "no disks": {"--disks=0x4G", "true"},
		"a disk of nothing": {"--disks=0G", "true"}, "disks that are no number": {"--disks=fourx4G", "true"},
	} {
		if o, err := parse(args); err == nil {
			t.Errorf("%s: %q gives %+v; want an error", name, args, o)
		}
	}
}

func TestLeverPath(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string // "": refused
	}{
		{[]string{"node", "reboot", "k1"}, "/nodes/k1/reboot"},
		{[]string{"node", "restart-kubelet", "k2"}, "/nodes/k2/restart-kubelet"},
		{[]string{"apiserver", "stop"}, "/apiserver/stop"},
		{[]string{"node", "reboot"}, ""},
		{[]string{"node", "reboot", "../down"}, ""},
		{[]string{"apiserver", "stop", "now"}, ""},
	} {
		got, err := leverPath(test.args)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("leverPath(%q) = %q, %v; want %q", test.args, got, err, test.want)
		}
	}
}
