package lvm

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLostGroupIsAsItWasButForItsDevices(t *testing.T) {
	dir := t.TempDir()
	text := testdata(t, "thin.metadata")
	was, err := parseMetadata(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, was.Name), text, 0o600); err != nil {
		t.Fatal(err)
	}
	l := New(Options{BackupDir: dir})
	if b, ok := l.LastBackup("other"); ok {
		t.Errorf("there is a backup of another group: %+v", b)
	}
	backup, ok := l.LastBackup(was.Name)
	if !ok {
		t.Fatalf("no backup of %s", was.Name)
	}
	lost := backup.Lost()
	if !lost.Partial || lost.MissingPVs != len(was.PVs) || lost.UUID != was.UUID || len(lost.LVs) != len(was.LVs) {
		t.Errorf("lost, it is %+v; was %+v", lost, was)
	}
	for _, pv := range lost.PVs {
		if !pv.Missing {
			t.Errorf("%s is not missing", pv.UUID)
		}
	}
	for i, lv := range lost.LVs {
		if lv.Name != was.LVs[i].Name || lv.Active || lv.Health != PartialLV {
			t.Errorf("lost, it is %+v; was %+v", lv, was.LVs[i])
		}
	}
	if again := backup.Lost(); &again.PVs[0] == &lost.PVs[0] {
		t.Error("two callers share one group")
	}
}
