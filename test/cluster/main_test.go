package main

import (
	"reflect"
	"testing"
)

func TestParseDisks(t *testing.T) {
	for text, want := range map[string][]int64{
		"6G": {6 << 30}, "2x4G": {4 << 30, 4 << 30}, "2x4G,1x6G": {4 << 30, 4 << 30, 6 << 30},
		"": nil, "4G,": nil, "4": nil, "4M": nil, "0x4G": nil, "2x0G": nil, "x4G": nil, "-1G": nil,
	} {
		got, err := parseDisks(text)
		if !reflect.DeepEqual(got, want) || (err == nil) != (want != nil) {
			t.Errorf("parseDisks(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseWantsACommandAndAFewNodes(t *testing.T) {
	o, err := parse([]string{"--nodes=3", "--disks=1G", "--", "ls", "--nodes"})
	want := options{nodes: 3, disks: []int64{1 << 30}, args: []string{"ls", "--nodes"}}
	if err != nil || !reflect.DeepEqual(o, want) {
		t.Errorf("parse gives %+v, %v; want %+v", o, err, want)
	}
	for _, args := range [][]string{nil, {"--nodes=2"}, {"--nodes=0", "ls"}, {"--nodes=10", "ls"}, {"--disks=much", "ls"}, {"--colour", "ls"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("parse(%q) gives no error", args)
		}
	}
}
