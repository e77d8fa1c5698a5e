package machine

import (
	"testing"
	"time"
)

func TestEscapeIsThreePressesInASecond(t *testing.T) {
	start := time.Unix(0, 0)
	type key struct {
		char byte
		at   time.Duration
	}
	const e = escapeKey
	for _, test := range []struct {
		name string
		keys []key
		want bool
	}{
		{"three at once", []key{{e, 0}, {e, 0}, {e, 0}}, true},
		{"three in a second", []key{{e, 0}, {e, 500 * time.Millisecond}, {e, time.Second}}, true},
		{"two", []key{{e, 0}, {e, 0}}, false},
		{"too slow", []key{{e, 0}, {e, time.Second}, {e, 1100 * time.Millisecond}}, false},
		{"slow, then three", []key{{e, 0}, {e, 2 * time.Second}, {e, 2 * time.Second}, {e, 2 * time.Second}}, true},
		{"something between", []key{{e, 0}, {e, 0}, {'x', 0}, {e, 0}}, false},
		{"Ctrl-C", []key{{3, 0}, {3, 0}, {3, 0}}, false},
	} {
		var reader escapeReader
		escaped := false
		for _, key := range test.keys {
			escaped = reader.press(key.char, start.Add(key.at)) || escaped
		}
		if escaped != test.want {
			t.Errorf("%s: escaped = %v, want %v", test.name, escaped, test.want)
		}
	}
}
