package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/loam-storage/loam/lvm"
)

// fioOutput is what is needed of fio's JSON+ (fio(1), "JSON+ OUTPUT").
type fioOutput struct {
	Ended int64    `json:"timestamp_ms"` // since 1970
	Jobs  []fioJob `json:"jobs"`
}

type fioJob struct {
	Name    string       `json:"jobname"`
	Runtime int64        `json:"job_runtime"` // ms
	User    float64      `json:"usr_cpu"`     // percent of Runtime
	System  float64      `json:"sys_cpu"`
	Read    fioDirection `json:"read"`
	Write   fioDirection `json:"write"`
	Sync    fioDirection `json:"sync"` // its total_ios is 0 in 3.33, so that histograms count
}

type fioDirection struct {
	Bytes   int64 `json:"io_bytes"`
	Runtime int64 `json:"runtime"` // ms
	Latency struct {
		Bins map[string]int64 `json:"bins"` // nanoseconds: how many
	} `json:"lat_ns"` // from submission to completion
}

// Bounds of what fio can have measured, so that sums do not overflow.
const (
	mostMilliseconds = int64(1 << 40)
	mostMoved        = int64(1 << 60)
)

// readFio makes a measurement of what fio printed and of its log of each second. words is what it printed besides: warnings and errors.
func readFio(printed, log []byte, s Spec) (words string, m Measurement, err error) {
	begin := bytes.IndexByte(printed, '{')
	if begin > 0 {
		if begin = bytes.Index(printed, []byte("\n{")); begin >= 0 {
			begin++
		}
	}
	if begin < 0 {
		return oneLine(printed), m, fmt.Errorf("fio printed no JSON: %.200s", oneLine(printed))
	}
	var out fioOutput
	d := json.NewDecoder(bytes.NewReader(printed[begin:]))
	if err := d.Decode(&out); err != nil {
		return oneLine(printed[:begin]), m, fmt.Errorf("reading fio's JSON: %w", err)
	}
	words = oneLine(append(printed[:begin:begin], printed[begin+int(d.InputOffset()):]...))
	if m, err = out.measurement(); err != nil {
		return words, Measurement{}, fmt.Errorf("reading fio's JSON: %w", err)
	}
	m.Series, err = fioSeries(string(log), m, s.Job)
	return words, m, err
}

func oneLine(b []byte) string { return strings.Join(strings.Fields(string(b)), " ") }

func (o fioOutput) measurement() (m Measurement, err error) {
	for _, j := range o.Jobs {
		for _, d := range []fioDirection{j.Read, j.Write} {
			if d.Bytes < 0 || d.Bytes > mostMoved {
				return m, fmt.Errorf("%d bytes in job %s", d.Bytes, j.Name)
			}
			m.All = min(m.All+lvm.Bytes(d.Bytes), lvm.Bytes(mostMoved))
		}
		if j.Name != "measured" {
			continue
		}
		if m.Read, err = j.Read.direction(); err == nil {
			if m.Write, err = j.Write.direction(); err == nil {
				m.Sync, err = j.Sync.direction()
			}
		}
		took := max(j.Read.Runtime, j.Write.Runtime)
		if err != nil || min(took, j.Runtime, o.Ended) < 0 || max(took, j.Runtime, o.Ended>>8) > mostMilliseconds {
			return m, errors.Join(err, fmt.Errorf("%d ms of %d until %d", took, j.Runtime, o.Ended))
		}
		m.Elapsed = time.Duration(took) * time.Millisecond
		m.Start = time.UnixMilli(o.Ended - j.Runtime)
		m.CPU = CPU{User: shareOf(j.User, j.Runtime), System: shareOf(j.System, j.Runtime)}
	}
	return m, nil
}

func shareOf(of float64, ms int64) time.Duration {
	return time.Duration(of / 100 * float64(ms) * float64(time.Millisecond))
}

func (d fioDirection) direction() (Direction, error) {
	of := Direction{Bytes: lvm.Bytes(d.Bytes)}
	for text, n := range d.Latency.Bins {
		latency, err := strconv.ParseInt(text, 10, 64)
		if err != nil || latency < 0 || n < 0 || n > mostMoved || of.Operations > mostMoved {
			return Direction{}, fmt.Errorf("a latency of %.40q ns, %d times", text, n)
		}
		of.Latency.RecordN(time.Duration(latency), n)
		of.Operations += n
	}
	return of, nil
}

// fioSeries reads a log that has a line "<ms>, <operations a second until then>, <0 for reads, 1 for writes>, …" for each second. It has none
// for the last one, which is the rest.
func fioSeries(log string, m Measurement, j Job) ([]Second, error) {
	var series []Second
	var before [2]int64
	rest := [2]int64{m.Read.Operations, m.Write.Operations}
	for line := range strings.Lines(log) {
		ms, rate, direction, err := logged(line)
		if err != nil {
			return nil, err
		}
		if direction > 1 || ms <= before[direction] {
			continue
		}
		n := min(rate*(ms-before[direction])/1000, rest[direction])
		before[direction] = ms
		rest[direction] -= n
		// Seconds end some milliseconds late.
		series = grown(series, int(max((ms+500)/1000-1, 0)))
		series[max((ms+500)/1000-1, 0)].add(direction, n, j)
	}
	if rest != [2]int64{} {
		series = grown(series, max(int(m.Elapsed.Round(time.Second)/time.Second)-1, 0))
		for direction, n := range rest {
			series[len(series)-1].add(direction, n, j)
		}
	}
	return series, nil
}

// longestSeries is a week.
const longestSeries = 7 * 24 * 3600

func logged(line string) (ms, rate int64, direction int, err error) {
	words := strings.Split(line, ",")
	if len(words) < 3 {
		return 0, 0, 0, fmt.Errorf("fio's log: %.80q: expected a time, a rate and a direction", line)
	}
	ms, err1 := strconv.ParseInt(strings.TrimSpace(words[0]), 10, 64)
	rate, err2 := strconv.ParseInt(strings.TrimSpace(words[1]), 10, 32)
	number, err3 := strconv.ParseUint(strings.TrimSpace(words[2]), 10, 8)
	if err = errors.Join(err1, err2, err3); err != nil || ms < 0 || rate < 0 || ms/1000 > longestSeries {
		return 0, 0, 0, errors.Join(err, fmt.Errorf("fio's log: %.80q: expected milliseconds and operations a second", line))
	}
	return ms, rate, int(number), nil
}

func grown(series []Second, last int) []Second {
	for len(series) <= last {
		series = append(series, Second{})
	}
	return series
}

func (s *Second) add(direction int, operations int64, j Job) {
	s.Operations += operations
	if direction == 0 {
		s.Read += lvm.Bytes(operations) * j.BlockSize
	} else {
		s.Written += lvm.Bytes(operations) * j.BlockSize
	}
}
