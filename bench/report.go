package bench

import "time"

// Version is that of Report's JSON. A reader refuses a newer one.
const Version = 1

// Report is everything that one command measured: what --json writes, and what the table, the HTML page, the Prometheus text file and
// `loam bench compare` are made of.
type Report struct {
	Version int       `json:"version"`
	Program string    `json:"program"` // loam's version
	Kind    Kind      `json:"kind"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Host    Host      `json:"host"`
	Engine  string    `json:"engine"`
	Profile Profile   `json:"profile"`
	// Stages are the places where the same jobs ran, in the order in which they are shown: one for a path, a device or a claim; one for each layer,
	// each number of noisy neighbours, or each node.
	Stages []Stage `json:"stages"`
	Labels []Label `json:"labels,omitempty"` // that hold for all of it
}

// Kind is which command made a report.
type Kind string

// The kinds of reports.
const (
	OfTarget     Kind = "target"     // loam bench run: a path, a volume or a device
	OfLayers     Kind = "layers"     // loam bench layers: the cost of each layer
	OfNeighbours Kind = "neighbours" // loam bench neighbours: a victim beside noisy volumes
	OfClaims     Kind = "claims"     // loam bench pvc: a pod's claim, on one or each node
)

// Host is the machine that was measured.
type Host struct {
	Name   string `json:"name"`
	Kernel string `json:"kernel"`
	CPUs   int    `json:"cpus"`
}

// Stage is one place where the jobs ran.
type Stage struct {
	Name   string `json:"name"`             // "/var/lib/db", "thin, first write", "4 neighbours", "node-1"
	Device string `json:"device,omitempty"` // model and scheduler of the disk beneath, where they are known
	// Baseline is the name of the stage that this one's cost is a ratio of; "" for the first.
	Baseline string      `json:"baseline,omitempty"`
	Jobs     []JobResult `json:"jobs"`
	// Skipped says why jobs of the profile are not among them, for people; without any job, why there is none.
	Skipped string `json:"skipped,omitempty"`
}

// JobResult is all repetitions of one job in one stage.
type JobResult struct {
	Job    Job           `json:"job"`
	Runs   []Measurement `json:"runs"` // in the order of time
	Labels []Label       `json:"labels,omitempty"`
	Error  string        `json:"error,omitempty"` // why the last repetition ended early; what Runs holds is then partial
}

// Label is a doubt about figures that whoever reads them must see.
type Label string

// The labels there are.
const (
	Quick        Label = "quick"         // too short, or too few repetitions, to compare with others
	NotSteady    Label = "not steady"    // --steady was asked for and not reached
	Partial      Label = "partial"       // interrupted, or an engine failed
	CPUSaturated Label = "cpu saturated" // the processors were busy, so they were measured and not the disk
	Throttled    Label = "throttled"     // throughput fell during the run, as a hot or throttled disk's does
	Cached       Label = "page cache"    // the job writes through the page cache on purpose
	Unchecked    Label = "unchecked"     // the kernel counts nothing for the place, so that nobody checked what really moved
)
