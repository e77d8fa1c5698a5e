package lvm

import "testing"

func TestParseBytes(t *testing.T) {
	for _, test := range []struct {
		text string
		want Bytes
	}{
		{"0", 0},
		{"1", 1},
		{"512Ki", 512 * KiB},
		{"1.5Gi", 1536 * MiB},
		{"0.5Ki", 512},
		{"100Gi", 100 * GiB},
		{"2Pi", 2 * PiB},
		{"1k", 1000},
		{"10M", 10_000_000},
		{"1.25T", 1_250_000_000_000},
		{"9223372036854775807", 1<<63 - 1},
	} {
		if got, err := ParseBytes(test.text); err != nil || got != test.want {
			t.Errorf("%q: got %d, error %v, want %d", test.text, got, err, test.want)
		}
	}
}

func TestParseBytesRefuses(t *testing.T) {
	for _, text := range []string{
		"", "Gi", "-1", "-1Gi", "-0.5Gi", "1.Gi", ".5Gi", "1e3", "0x10", "1_000", " 1", "1 Gi", "1GiB", "1gi", "1K", "NaN", "Inf", "+1.5",
		"8192Pi", "9223372036854775808", "1.5e3Gi", "10000000000000000000.5",
	} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestBytesForPeople(t *testing.T) {
	for b, want := range map[Bytes]string{
		0: "0 B", 1023: "1023 B", KiB: "1 KiB", 1536: "1.50 KiB", 10*GiB + 512*MiB: "10.5 GiB", 200*MiB + 1: "200 MiB", -3 * TiB: "-3 TiB",
	} {
		if got := b.String(); got != want {
			t.Errorf("%d is shown as %q, want %q", int64(b), got, want)
		}
	}
}

func TestRounding(t *testing.T) {
	for _, test := range []struct{ b, up, down Bytes }{{0, 0, 0}, {1, 4, 0}, {4, 4, 4}, {5, 8, 4}} {
		if up, down := test.b.RoundUp(4), test.b.RoundDown(4); up != test.up || down != test.down {
			t.Errorf("%d to 4: up %d, down %d, want %d and %d", test.b, up, down, test.up, test.down)
		}
	}
}

func FuzzParseBytes(f *testing.F) {
	for _, s := range []string{"1.5Gi", "100", "-1", "9e9", "1.0000000000000000001Ti"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := ParseBytes(s); err == nil && b < 0 {
			t.Errorf("%q was read as %d", s, b)
		}
	})
}
