package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrNewer says that a report was written by a newer version of this program than reads it.
var ErrNewer = errors.New("written by a newer version")

// Encode writes a report as one line of JSON, which Decode reads.
func Encode(w io.Writer, r Report) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding a report: %w", err)
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// Decode reads what Encode wrote, of this version or an older one. Keys that it does not know are left out, as versions only change when the
// meaning of a key does. The error is ErrNewer for a report of a newer version.
func Decode(text []byte) (Report, error) {
	var head struct {
		Version int    `json:"version"`
		Program string `json:"program"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return Report{}, fmt.Errorf("not a report of loam bench: %w", err)
	}
	switch {
	case head.Version > Version:
		return Report{}, fmt.Errorf("a report of version %d by loam %s, and this one reads up to version %d: %w", head.Version, head.Program, Version, ErrNewer)
	case head.Version < 1:
		return Report{}, fmt.Errorf("not a report of loam bench: version is %d, expected 1 to %d", head.Version, Version)
	}
	var r Report
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&r); err != nil {
		return Report{}, fmt.Errorf("a damaged report: %w", err)
	}
	if err := r.check(); err != nil {
		return Report{}, fmt.Errorf("a damaged report: %w", err)
	}
	return r, nil
}

// check says what no measurement gives.
func (r Report) check() error {
	if !slices.Contains([]Kind{OfTarget, OfLayers, OfNeighbours, OfClaims}, r.Kind) {
		return fmt.Errorf("kind %q: expected %s, %s, %s or %s", r.Kind, OfTarget, OfLayers, OfNeighbours, OfClaims)
	}
	if len(r.Stages) == 0 {
		return errors.New("stages: expected at least one")
	}
	for i, s := range r.Stages {
		if r.stage(s.Name) != &r.Stages[i] {
			return fmt.Errorf("stages: two are named %q", s.Name)
		}
		if s.Baseline != "" && r.stage(s.Baseline) == nil {
			return fmt.Errorf("stage %q: there is no baseline %q", s.Name, s.Baseline)
		}
		if err := s.check(); err != nil {
			return fmt.Errorf("stage %q: %w", s.Name, err)
		}
	}
	return nil
}

func (s Stage) check() error {
	for i, j := range s.Jobs {
		if s.job(j.Job.Name) != &s.Jobs[i] {
			return fmt.Errorf("two jobs are named %q", j.Job.Name)
		}
		if j.Job.BlockSize < 1 {
			return fmt.Errorf("job %q: blockSize is %d, expected at least 1", j.Job.Name, j.Job.BlockSize)
		}
		for n, m := range j.Runs {
			if err := m.check(); err != nil {
				return fmt.Errorf("job %q, run %d: %w", j.Job.Name, n+1, err)
			}
		}
	}
	return nil
}

func (m Measurement) check() error {
	if m.Elapsed <= 0 {
		return fmt.Errorf("elapsed is %d ns, expected more than 0", m.Elapsed)
	}
	for name, d := range map[string]Direction{"read": m.Read, "write": m.Write, "sync": m.Sync} {
		if d.Operations < 0 || d.Bytes < 0 || d.Latency.Count() < 0 {
			return fmt.Errorf("%s: a count below 0", name)
		}
	}
	for n, s := range m.Series {
		if s.Read < 0 || s.Written < 0 || s.Operations < 0 {
			return fmt.Errorf("second %d: a count below 0", n+1)
		}
	}
	return nil
}

// stage is the one of that name; nil when there is none.
func (r Report) stage(name string) *Stage {
	i := slices.IndexFunc(r.Stages, func(s Stage) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Stages[i]
}

// job is the one of that name; nil when there is none.
func (s Stage) job(name string) *JobResult {
	i := slices.IndexFunc(s.Jobs, func(j JobResult) bool { return j.Job.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Jobs[i]
}
