package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ofTheNode are programs that pages have people type on the node itself, as the image has none.
var ofTheNode = []string{"bash", "df", "kill"}

var fence = regexp.MustCompile("(?s)```sh\n(.*?)```")

// TestProgramsOfRunbooksAreInTheImage asks dpkg whose a program is, and apt which packages the image has.
func TestProgramsOfRunbooksAreInTheImage(t *testing.T) {
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	used := map[string]string{} // by program: a page
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range fence.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(block[1]) {
				if program := programOf(line); program != "" {
					used[program] = page
				}
			}
		}
	}
	if len(used) < 8 {
		t.Errorf("the pages have only %v", used)
	}
	files, err := plan(t.Context(), t.TempDir(), strings.Split(loamPackages, ","))
	if err != nil {
		t.Skipf("needs Debian's package lists: %v", err)
	}
	var packages []string
	for _, file := range files {
		name, _, _ := strings.Cut(file, "_")
		packages = append(packages, name)
	}
	for program, page := range used {
		owner := ownerOf(t, program)
		if owner == "" {
			continue
		}
		if inImage := slices.Contains(packages, owner); inImage == slices.Contains(ofTheNode, program) {
			t.Errorf("%s has %s, of package %s; in the image: %v; to be typed on the node itself: %v", page, program, owner, inImage, !inImage)
		}
	}
}

// programOf is what a line of a page runs on a node; "" for kubectl and helm, and for loam, which is no package's.
func programOf(line string) string {
	_, within, isExec := strings.Cut(line, " -- ")
	if isExec {
		line = within
	}
	fields := strings.Fields(line)
	if len(fields) == 0 || slices.Contains([]string{"kubectl", "helm", "loam", "#"}, fields[0]) {
		return ""
	}
	return fields[0]
}

// ownerOf is the package that a program of this machine is of; "" where it is not installed here.
func ownerOf(t *testing.T, program string) string {
	t.Helper()
	for _, folder := range []string{"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"} {
		out, err := exec.Command("dpkg-query", "--search", folder+program).Output()
		if err == nil {
			name, _, _ := strings.Cut(string(out), ":")
			return name
		}
	}
	t.Logf("%s is not installed here", program)
	return ""
}
