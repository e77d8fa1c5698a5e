package config

import (
	"strconv"
	"strings"

	"github.com/loam-storage/loam/lvm"
)

// Share is a part of a whole: a percentage, or a size that does not depend on the whole. The zero value is nothing.
type Share struct {
	hundredths int64 // of a percent; 0 when size is what counts
	size       lvm.Bytes
}

// ParsePercent reads a percentage from 0% to 100%, with at most two decimals: "5%", "99.95%".
func ParsePercent(s string) (Share, bool) {
	number, ok := strings.CutSuffix(s, "%")
	if !ok {
		return Share{}, false
	}
	whole, fraction, dotted := strings.Cut(number, ".")
	if dotted != (fraction != "") || !digits(whole) || !digits(fraction) || whole == "" || len(whole) > 3 || len(fraction) > 2 {
		return Share{}, false
	}
	n, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
	if err != nil || n > 100_00 {
		return Share{}, false
	}
	return Share{hundredths: n}, true
}

// ParseShare reads a percentage or a size with a unit: "5%", "10Gi". A number alone is neither, as it may be meant as either;
// but 0 is 0.
func ParseShare(s string) (Share, bool) {
	if share, ok := ParsePercent(s); ok {
		return share, true
	}
	if digits(s) && s != "0" {
		return Share{}, false
	}
	size, err := lvm.ParseBytes(s)
	return Share{size: size}, err == nil
}

// Of is this share of a whole, rounded down to a byte.
func (s Share) Of(whole lvm.Bytes) lvm.Bytes {
	if s.hundredths == 0 {
		return s.size
	}
	const all = 100_00
	n := lvm.Bytes(s.hundredths)
	return whole/all*n + whole%all*n/all // in two parts, as whole × n does not fit for petabytes
}

// String is the share as it is written in a configuration.
func (s Share) String() string {
	switch {
	case s.hundredths == 0 && s.size == 0:
		return "0%"
	case s.hundredths == 0:
		return written(s.size)
	}
	text := strconv.FormatInt(s.hundredths/100, 10)
	if fraction := s.hundredths % 100; fraction != 0 {
		text += "." + strings.TrimRight(strconv.FormatInt(100+fraction, 10)[1:], "0")
	}
	return text + "%"
}

// percent is the share in hundredths of a percent, for comparing two percentages.
func (s Share) percent() int64 { return s.hundredths }

func digits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// written is a size as a configuration has it, exact: "100Gi".
func written(b lvm.Bytes) string {
	for _, u := range []struct {
		suffix string
		size   lvm.Bytes
	}{{"Pi", lvm.PiB}, {"Ti", lvm.TiB}, {"Gi", lvm.GiB}, {"Mi", lvm.MiB}, {"Ki", lvm.KiB}} {
		if b >= u.size && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
