package lvm

import (
	"errors"
	"testing"
)

func TestExtentIsReadFromATableOfOneLinearTarget(t *testing.T) {
	one := target{start: 0, length: 8192, kind: "linear", status: "98:16 34816"}
	e, err := extentOf([]target{one})
	if want := (Extent{Major: 98, Minor: 16, Start: 34816 * Sector, Size: 4 * MiB}); err != nil || e != want {
		t.Errorf("%+v, %v; want %+v", e, err, want)
	}
	for name, table := range map[string][]target{
		"two pieces": {one, {start: 8192, length: 8192, kind: "linear", status: "98:32 2048"}},
		"striped":    {{length: 8192, kind: "striped", status: "2 128 98:16 2048 98:32 2048"}},
		"none":       {},
	} {
		if _, err := extentOf(table); !errors.Is(err, ErrPieces) {
			t.Errorf("%s: %v; want ErrPieces", name, err)
		}
	}
	for _, status := range []string{"", "98:16", "98 34816", "x:16 1", "98:16 -1", "98:16 99999999999999999999", "4294967296:1 1", "98:16 1 2"} {
		if e, err := extentOf([]target{{length: 8192, kind: "linear", status: status}}); err == nil || errors.Is(err, ErrPieces) {
			t.Errorf("%q was read as %+v, %v; want an error", status, e, err)
		}
	}
}
