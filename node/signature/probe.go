package signature

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/loam-storage/loam/node/tool"
)

// Exit statuses of blkid(8).
const (
	foundNothing = 2 // also of a device that it cannot read, which is why both ends are read before
	ambivalent   = 8
)

// probe runs blkid's low-level probing, which knows some 70 formats.
func probe(ctx context.Context, path string) (Signature, error) {
	out, err := tool.Run(ctx, "blkid", "--probe", "--output", "export", "--", path)
	var e *tool.Error
	switch {
	case err == nil:
		return parse(out), nil
	case errors.As(err, &e) && e.ExitCode == foundNothing:
		return Signature{}, nil
	case errors.As(err, &e) && e.ExitCode == ambivalent:
		return Signature{Ambivalent: true, Candidates: candidates(ctx, path)}, nil
	}
	return Signature{}, fmt.Errorf("probing %s: %w", path, err)
}

// parse reads blkid's export format: a line KEY=value each, values escaped with backslashes.
func parse(out string) Signature {
	var s Signature
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		value = unescape(value)
		switch key {
		case "TYPE":
			s.Type = value
		case "USAGE":
			s.Usage = value
		case "UUID":
			s.UUID = value
		case "LABEL":
			s.Label = value
		case "PTTYPE":
			s.PartitionTable = value
		}
	}
	return s
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// candidates names the formats among which blkid cannot choose, in the order of wipefs, which only lists them here. It is
// for a message: without them it is a message still.
func candidates(ctx context.Context, path string) []string {
	out, err := tool.Run(ctx, "wipefs", "--no-act", "--json", "--", path)
	if err != nil {
		return nil
	}
	return parseCandidates(out)
}

func parseCandidates(out string) []string {
	var listed struct {
		Signatures []struct{ Type string } `json:"signatures"`
	}
	if json.Unmarshal([]byte(out), &listed) != nil {
		return nil
	}
	var names []string
	for _, s := range listed.Signatures {
		names = append(names, s.Type)
	}
	return names
}
