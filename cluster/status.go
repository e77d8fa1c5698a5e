package cluster

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
)

// Survey is what a status is assessed from.
type Survey struct {
	Namespace string
	Objects
	Agents []Agent
	Now    time.Time
}

// StatusKinds are those of which Assess wants the Objects.
func StatusKinds() []Kind {
	return []Kind{Nodes, Own, DaemonSets, Deployments, Capacities, Classes, Persistent}
}

// Unread says whether a kind could not be read.
func (s Survey) Unread(kind Kind) bool {
	return slices.ContainsFunc(s.Gaps, func(g Gap) bool { return g.What == string(kind) })
}

// Silent are the agents that did not answer, those for the same reason together.
func (s Survey) Silent() []Finding {
	a := assessment{Survey: s}
	for _, g := range s.Agents {
		if g.Report == nil {
			a.silent(g)
		}
	}
	return a.findings.sorted()
}

// VersionRow is a version that some agents have.
type VersionRow struct {
	Version string   `json:"version"`
	Nodes   []string `json:"nodes"`
}

// Versions are those of all agents that answered.
func Versions(s Survey) []VersionRow {
	rows := []VersionRow{}
	for _, g := range s.Agents {
		if g.Report == nil {
			continue
		}
		version := cmp.Or(g.Report.Info.Version, "-")
		i := slices.IndexFunc(rows, func(r VersionRow) bool { return r.Version == version })
		if i < 0 {
			i, rows = len(rows), append(rows, VersionRow{Version: version})
		}
		rows[i].Nodes = append(rows[i].Nodes, g.Node)
	}
	slices.SortFunc(rows, func(a, b VersionRow) int { return strings.Compare(a.Version, b.Version) })
	return rows
}

// Status is how Loam does in a cluster.
type Status struct {
	Namespace string   `json:"namespace"`
	Versions  []string `json:"versions"` // of the agents
	Parts     []Part   `json:"parts"`
	Answered  int      `json:"answered"` // agents
	Volumes   int      `json:"volumes"`
	Snapshots int      `json:"snapshots"`
	Orphans   int      `json:"orphans"`

	Pools    []PoolSum `json:"pools"`
	Nodes    []NodeRow `json:"nodes"` // the worst first
	Findings []Finding `json:"findings"`
	Gaps     []Gap     `json:"gaps"`
}

// partAgents is the Part that the agents are.
const partAgents = "agents"

// Part is one of Loam's workloads.
type Part struct {
	Name   string `json:"name"`
	Ready  int    `json:"ready"`
	Wanted int    `json:"wanted"`
}

// PoolSum is a pool's name on all nodes that have one of it.
type PoolSum struct {
	Name      string    `json:"name"`
	Types     []string  `json:"types"`
	Nodes     int       `json:"nodes"`
	Ready     int       `json:"ready"` // nodes where it is
	Size      lvm.Bytes `json:"size"`
	Used      lvm.Bytes `json:"used"`
	Promised  lvm.Bytes `json:"promised"`
	Available lvm.Bytes `json:"available"`
	Largest   lvm.Bytes `json:"largest"` // volume that one of the nodes would take
}

// NodeRow is one node.
type NodeRow struct {
	Node      string    `json:"node"`
	State     string    `json:"state"` // "ok", or the worst that was found
	Severity  Severity  `json:"severity"`
	Version   string    `json:"version"` // of its agent; "" if that did not answer
	Pools     []string  `json:"pools"`
	Volumes   int       `json:"volumes"`
	Size      lvm.Bytes `json:"size"`
	Used      lvm.Bytes `json:"used"`
	Available lvm.Bytes `json:"available"`
}

// Complete says whether all that there is was read, and every agent that there should be answered.
func (s Status) Complete() bool { return len(s.Gaps) == 0 && s.missing() <= 0 }

// missing are the agents that did not answer.
func (s Status) missing() int {
	wanted := len(s.Nodes)
	for _, p := range s.Parts {
		if p.Name == partAgents {
			wanted = max(wanted, p.Wanted)
		}
	}
	return wanted - s.Answered
}

// settling is how long a volume may have no PersistentVolume: one comes after its volume is made.
const settling = 10 * time.Minute

// Assess says how Loam does.
func Assess(s Survey) Status {
	a := assessment{Survey: s}
	a.parts()
	a.absent()
	for _, agent := range s.Agents {
		a.agent(agent)
	}
	a.volumes()
	a.capacity()
	status := Status{
		Namespace: s.Namespace, Versions: []string{}, Parts: a.workloads, Pools: sums(s.Agents), Findings: a.findings.sorted(),
		Orphans: a.orphans, Gaps: append([]Gap{}, s.Gaps...),
	}
	for _, agent := range s.Agents {
		if agent.Report != nil {
			status.Answered++
			status.Volumes += count(agent.Report.Volumes, admin.KindVolume)
			status.Snapshots += count(agent.Report.Volumes, admin.KindSnapshot)
		}
	}
	for _, v := range Versions(s) {
		status.Versions = append(status.Versions, v.Version)
	}
	status.Nodes = a.rows(status.Findings)
	return status
}

// rows are the nodes, those with the worst first.
func (a *assessment) rows(all []Finding) []NodeRow {
	worst := map[string]Finding{}
	for _, f := range slices.Backward(all) {
		for _, n := range f.Nodes {
			worst[n] = f
		}
	}
	rows := make([]NodeRow, 0, len(a.Agents))
	for _, g := range a.Agents {
		row := NodeRow{Node: g.Node, State: "ok", Pools: []string{}}
		if f, wrong := worst[g.Node]; wrong {
			row.State, row.Severity = f.What, f.Severity
		}
		if g.Report != nil {
			row.Version, row.Volumes = cmp.Or(g.Report.Info.Version, "-"), count(g.Report.Volumes, admin.KindVolume)
			for _, p := range g.Report.Pools {
				row.Pools = append(row.Pools, p.Name)
				row.Size, row.Used, row.Available = row.Size+p.Size, row.Used+p.Used, row.Available+p.Available
			}
		}
		rows = append(rows, row)
	}
	rank := func(r NodeRow) int {
		if r.Severity == "" {
			return len(Critical)
		}
		return r.Severity.rank()
	}
	slices.SortStableFunc(rows, func(x, y NodeRow) int { return cmp.Compare(rank(x), rank(y)) })
	return rows
}

// sums add pools of one name up.
func sums(agents []Agent) []PoolSum {
	of := map[string]*PoolSum{}
	for _, g := range agents {
		if g.Report == nil {
			continue
		}
		for _, p := range g.Report.Pools {
			s := of[p.Name]
			if s == nil {
				s = &PoolSum{Name: p.Name}
				of[p.Name] = s
			}
			s.Nodes++
			if p.Ready {
				s.Ready++
			}
			if !slices.Contains(s.Types, p.Type) {
				s.Types = append(s.Types, p.Type)
			}
			s.Size, s.Used, s.Promised, s.Available = s.Size+p.Size, s.Used+p.Used, s.Promised+p.Promised, s.Available+p.Available
			s.Largest = max(s.Largest, p.Largest)
		}
	}
	all := make([]PoolSum, 0, len(of))
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, *of[name])
	}
	return all
}

func count(volumes []admin.Volume, kind admin.Kind) (n int) {
	for _, v := range volumes {
		if v.Kind == kind {
			n++
		}
	}
	return n
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
