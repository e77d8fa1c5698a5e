package lvm

import (
	"fmt"
	"strconv"
	"strings"
)

// Bytes is a size in bytes. Differences may be negative.
type Bytes int64

// Powers of 1024, as LVM and Kubernetes count.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
	TiB Bytes = 1 << 40
	PiB Bytes = 1 << 50
)

// Sector is the unit of every size that the kernel's block layer reports.
const Sector Bytes = 512

var units = []struct {
	suffix string
	size   Bytes
}{{"Pi", PiB}, {"Ti", TiB}, {"Gi", GiB}, {"Mi", MiB}, {"Ki", KiB}, {"P", 1e15}, {"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3}}

// ParseBytes reads a size as Kubernetes writes quantities: an integer or decimal number with an optional suffix
// Ki, Mi, Gi, Ti, Pi (powers of 1024) or k, M, G, T, P (powers of 1000).
func ParseBytes(s string) (Bytes, error) {
	number, unit := s, Bytes(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			number, unit = rest, u.size
			break
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n < 0 || n > (1<<63-1)/int64(unit) {
			return 0, fmt.Errorf("size %q is out of range", s)
		}
		return Bytes(n) * unit, nil
	}
	whole, fraction, ok := strings.Cut(number, ".")
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || whole == "" || fraction == "" || strings.ContainsAny(number, "eExX+-_") || n*float64(unit) >= 1<<63 {
		return 0, fmt.Errorf("size %q is not a number with an optional suffix Ki, Mi, Gi, Ti, Pi, k, M, G, T or P", s)
	}
	return Bytes(n * float64(unit)), nil
}

// String shows three significant digits and a binary unit, for people: "1.50 GiB".
func (b Bytes) String() string {
	if b < 0 {
		return "-" + (-b).String()
	}
	for _, u := range units[:5] {
		if b >= u.size {
			v := float64(b) / float64(u.size)
			digits := 2
			if v >= 100 {
				digits = 0
			} else if v >= 10 {
				digits = 1
			}
			if b%u.size == 0 {
				digits = 0
			}
			return strconv.FormatFloat(v, 'f', digits, 64) + " " + u.suffix + "B"
		}
	}
	return strconv.FormatInt(int64(b), 10) + " B"
}

// RoundUp is the smallest multiple of unit that is at least b; unit must be positive.
func (b Bytes) RoundUp(unit Bytes) Bytes { return (b + unit - 1) / unit * unit }

// RoundDown is the largest multiple of unit that is at most b; unit must be positive.
func (b Bytes) RoundDown(unit Bytes) Bytes { return b / unit * unit }
