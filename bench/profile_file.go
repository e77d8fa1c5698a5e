package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/loam-storage/loam/lvm"
)

// Bounds of a profile's file. The YAML parser's time grows with the square of what it is given.
const (
	mostBytes = 16 << 10
	mostJobs  = 64
)

// profileKey is a key of a profile's file, and what it takes.
type profileKey[T any] struct {
	name, expects string
	set           func(to *T, text string) bool
}

var profileKeys = []profileKey[Profile]{
	{"size", "a size of at least 1Mi, such as 4Gi", func(p *Profile, s string) bool { return setBytes(&p.Size, s) && p.Size >= lvm.MiB }},
	{"warmUp", "a duration of 0s to 1h, such as 5s", func(p *Profile, s string) bool { return setDuration(&p.WarmUp, s) && p.WarmUp <= longestWarmUp }},
	{"runtime", "a duration of 100ms to 24h, such as 30s", func(p *Profile, s string) bool {
		return setDuration(&p.Runtime, s) && p.Runtime >= shortestRuntime && p.Runtime <= longestRuntime
	}},
	{"repetitions", "a number from 1 to 1000", func(p *Profile, s string) bool { return setNumber(&p.Repetitions, s, 1, mostRepetitions) }},
	{"steady", "true or false", func(p *Profile, s string) bool { return setTruth(&p.Steady, s) }},
	{"maxRounds", "a number from 5 to 1000", func(p *Profile, s string) bool { return setNumber(&p.MaxRounds, s, rounds, mostRepetitions) }},
}

var jobName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

var jobKeys = []profileKey[Job]{
	{"name", "1 to 40 of a-z, 0-9 and -", func(j *Job, s string) bool { j.Name = s; return jobName.MatchString(s) }},
	{"pattern", "read, write, randread, randwrite or randrw", func(j *Job, s string) bool {
		j.Pattern = Pattern(s)
		return slices.Contains([]Pattern{Read, Write, RandRead, RandWrite, RandRW}, j.Pattern)
	}},
	{"blockSize", "a size of 1 to 64Mi, such as 4Ki", func(j *Job, s string) bool {
		return setBytes(&j.BlockSize, s) && j.BlockSize >= 1 && j.BlockSize <= 64*lvm.MiB
	}},
	{"depth", "a number from 1 to 1024", func(j *Job, s string) bool { return setNumber(&j.Depth, s, 1, 1024) }},
	{"readPercent", "a number from 1 to 99", func(j *Job, s string) bool { return setNumber(&j.ReadPercent, s, 1, 99) }},
	{"sync", "true or false", func(j *Job, s string) bool { return setTruth(&j.Sync, s) }},
}

func loadProfile(path string) (Profile, error) {
	f, err := os.Open(path)
	if err != nil {
		return Profile{}, fmt.Errorf("reading the profile: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostBytes+1))
	if err != nil {
		return Profile{}, fmt.Errorf("reading the profile: %w", err)
	}
	return parseProfile(path, data)
}

// parseProfile decodes a profile in YAML or JSON. What is not there is as in profile full. The error has a line for each thing that is
// wrong, which begins with file, line and key.
func parseProfile(file string, data []byte) (Profile, error) {
	r := profileFile{name: file, profile: Profiles()[1]}
	r.profile.Name, r.profile.Jobs = file, nil
	if len(data) > mostBytes {
		return Profile{}, fmt.Errorf("%s: expected at most %d bytes, got more", file, mostBytes)
	}
	root, err := parser.ParseBytes(data, 0)
	var wrong yaml.Error
	switch {
	case errors.As(err, &wrong) && wrong.GetToken() != nil:
		return Profile{}, fmt.Errorf("%s:%d: not YAML: %s", file, wrong.GetToken().Position.Line, wrong.GetMessage())
	case err != nil:
		return Profile{}, fmt.Errorf("%s: not YAML: %w", file, err)
	case len(root.Docs) != 1 || root.Docs[0].Body == nil:
		return Profile{}, fmt.Errorf("%s: expected one document with the keys of a profile", file)
	}
	r.root(root.Docs[0].Body)
	if err := errors.Join(r.problems...); err != nil {
		return Profile{}, err
	}
	return r.profile, nil
}

// profileFile is a file that is being decoded.
type profileFile struct {
	name     string
	profile  Profile
	problems []error
}

func (r *profileFile) add(n ast.Node, path, format string, args ...any) {
	where := r.name
	if t := n.GetToken(); t != nil && t.Position != nil {
		where += ":" + strconv.Itoa(t.Position.Line)
	}
	if path != "" {
		where += ": " + path
	}
	r.problems = append(r.problems, fmt.Errorf("%s: "+format, append([]any{where}, args...)...))
}

func (r *profileFile) root(n ast.Node) {
	var jobs ast.Node
	fields(r, n, section[Profile]{keys: profileKeys, other: func(name string, value ast.Node) bool {
		if name == "jobs" {
			jobs = value
		}
		return name == "jobs"
	}}, &r.profile)
	list, ok := jobs.(*ast.SequenceNode)
	if !ok || len(list.Values) == 0 || len(list.Values) > mostJobs {
		r.add(n, "jobs", "expected a list of 1 to %d jobs", mostJobs)
		return
	}
	for i, item := range list.Values {
		r.job(item, fmt.Sprintf("jobs[%d]", i))
	}
}

func (r *profileFile) job(n ast.Node, path string) {
	j := Job{Depth: 1}
	before := len(r.problems)
	fields(r, n, section[Job]{path: path, keys: jobKeys, other: func(string, ast.Node) bool { return false }}, &j)
	if len(r.problems) > before {
		return
	}
	if field, text := j.unlike(); field != "" {
		r.add(n, path+"."+field, "%s", text)
	}
	if slices.ContainsFunc(r.profile.Jobs, func(other Job) bool { return other.Name == j.Name }) {
		r.add(n, path+".name", "another job has the name %s", j.Name)
	}
	r.profile.Jobs = append(r.profile.Jobs, j)
}

// unlike is the first field of a job that does not go with the others, and what was expected of it.
func (j Job) unlike() (field, text string) {
	switch {
	case j.Name == "":
		return "name", "expected a name"
	case j.Pattern == "":
		return "pattern", "expected one"
	case j.BlockSize == 0:
		return "blockSize", "expected a size"
	case !j.Sync && j.BlockSize%lvm.Sector != 0:
		return "blockSize", fmt.Sprintf("expected a multiple of 512 bytes, as direct I/O wants it, got %d", j.BlockSize)
	case j.Sync && (j.Pattern == Read || j.Pattern == RandRead || j.Pattern == RandRW || j.Depth != 1):
		return "sync", "expected it with pattern write or randwrite, at depth 1"
	case (j.Pattern == RandRW) != (j.ReadPercent > 0):
		return "readPercent", "expected it with pattern randrw, and with no other"
	}
	return "", ""
}

// section is a mapping in a file.
type section[T any] struct {
	path  string // "" or jobs[0]
	keys  []profileKey[T]
	other func(name string, value ast.Node) bool // takes those that are not among keys
}

// fields decodes the entries of a mapping.
func fields[T any](r *profileFile, n ast.Node, in section[T], to *T) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		r.add(n, in.path, "expected keys and values")
		return
	}
	for _, entry := range m.Values {
		name := entry.Key.String()
		here := strings.TrimPrefix(in.path+"."+name, ".")
		at := slices.IndexFunc(in.keys, func(k profileKey[T]) bool { return k.name == name })
		switch {
		case at < 0 && !in.other(name, entry.Value):
			r.add(entry.Key, here, "unknown key; known here: %s", in.names())
		case at < 0:
		default:
			scalar, ok := entry.Value.(ast.ScalarNode)
			if !ok || !in.keys[at].set(to, fmt.Sprint(scalar.GetValue())) {
				r.add(entry.Key, here, "expected %s, got %.60q", in.keys[at].expects, entry.Value.String())
			}
		}
	}
}

func (in section[T]) names() string {
	var names []string
	for _, k := range in.keys {
		names = append(names, k.name)
	}
	if in.path == "" {
		names = append(names, "jobs")
	}
	return strings.Join(names, ", ")
}

func setBytes(to *lvm.Bytes, s string) (ok bool) {
	n, err := lvm.ParseBytes(s)
	*to = n
	return err == nil
}

func setDuration(to *time.Duration, s string) (ok bool) {
	d, err := time.ParseDuration(s)
	*to = d
	return err == nil && d >= 0
}

func setNumber(to *int, s string, least, most int) (ok bool) {
	n, err := strconv.Atoi(s)
	*to = n
	return err == nil && n >= least && n <= most
}

func setTruth(to *bool, s string) (ok bool) {
	*to = s == "true"
	return *to || s == "false"
}
