package drill

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/nodetest"
	"github.com/loam-storage/loam/test/prometheus"
)

// exercise is an alert, and what provokes it and follows its page.
type exercise struct {
	alert string
	long  bool // make faults has the time
	run   func(*drill)
}

func exercises() []exercise {
	return []exercise{
		{"LoamPoolNearlyFull", true, poolNearlyFull},
		{"LoamPoolFillsInADay", true, poolFillsInADay},
		{"LoamPoolFull", true, poolFull},
		{"LoamPoolMetadataNearlyFull", true, poolMetadataNearlyFull},
		{"LoamPoolBroken", true, poolBroken},
		{"LoamDevicesSuspended", true, devicesSuspended},
		{"LoamDiskMissing", false, diskMissing},
		{"LoamDiskSilent", false, diskSilent},
		{"LoamFileSystemFailed", true, fileSystemFailed},
		{"LoamPoolNotReady", true, poolNotReady},
		{"LoamLVMFailing", true, lvmFailing},
		{"LoamLVMSlow", true, lvmSlow},
		{"LoamMetadataNotBackedUp", true, metadataNotBackedUp},
		{"LoamAgentBlind", true, agentBlind},
	}
}

func TestDrill(t *testing.T) {
	usePrograms(t)
	for _, e := range exercises() {
		t.Run(e.alert, func(t *testing.T) {
			if e.long {
				lvmtest.Long(t)
			}
			d := &drill{t: t, alert: e.alert, disks: lvmtest.RequireDisks(t, 4), words: map[string]string{}, address: prometheus.FreeAddress(t)}
			d.prometheus = prometheus.Start(t, prometheus.Options{Rules: hasty(t), Targets: map[string]string{"agent": d.address}})
			e.run(d)
			d.wantAllFollowed()
		})
	}
}

// usePrograms has loam found by its name.
func usePrograms(t *testing.T) {
	t.Helper()
	programs, err := filepath.Abs(prometheus.Repository + "/bin")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
}

// hasty is a copy of the alerts that does not wait: `for` is nothing, they look back for 20 seconds, and an agent is blind after that time. The rest is as it is shipped;
// how long alerts wait is tested with promtool (deploy/render/testdata/alerts_test.yaml).
func hasty(t *testing.T) (file string) {
	t.Helper()
	text, err := os.ReadFile(prometheus.Alerts)
	if err != nil {
		t.Fatal(err)
	}
	copied := regexp.MustCompile(`(?m)^    for: .*$`).ReplaceAll(text, []byte("    for: 0s"))
	copied = regexp.MustCompile(`\[(6h|10m)\]`).ReplaceAll(copied, []byte("[20s]"))
	copied = regexp.MustCompile(`(_timestamp_seconds > )120`).ReplaceAll(copied, []byte("${1}20"))
	file = filepath.Join(t.TempDir(), "alerts.yaml")
	if err := os.WriteFile(file, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// drill is one alert on its way from raised to cleared.
type drill struct {
	t          *testing.T
	alert      string
	disks      []string
	prometheus prometheus.Server
	address    string // at which the agent is to tell metrics
	agent      nodetest.Agent

	page     page
	words    map[string]string // names for the words of the page
	followed map[string]bool   // headings
}

// patience is how long something may take that comes by itself.
const patience = 90 * time.Second

// await waits until something is so.
func (d *drill) await(what string, is func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("%s: not after %v; the alert is %+v", what, patience, d.rule())
		}
	}
}

func (d *drill) rule() prometheus.Rule {
	d.t.Helper()
	rules := d.prometheus.Rules(d.t)
	i := slices.IndexFunc(rules, func(r prometheus.Rule) bool { return r.Name == d.alert })
	if i < 0 {
		d.t.Fatalf("there is no alert %s", d.alert)
	}
	return rules[i]
}

// raised waits for the alert, and opens the page that it names.
func (d *drill) raised() {
	d.t.Helper()
	d.await("the alert is raised", func() bool { return d.rule().State == "firing" })
	alert := d.rule().Alerts[0]
	d.t.Logf("%s: %s", d.alert, alert.Annotations["summary"])
	d.words["POOL"] = alert.Labels["pool"]
	if d.followed == nil {
		d.page, d.followed = readPage(d.t, alert.Annotations["runbook_url"]), map[string]bool{}
	}
}

// cleared waits until the alert is not raised any more, and nothing is wrong with any pool.
func (d *drill) cleared() {
	d.t.Helper()
	d.await("the alert is over", func() bool { return d.rule().State == "inactive" })
	d.await("the pools are well", func() bool {
		pools, err := d.agent.Admin.Pools(context.Background())
		return err == nil && !slices.ContainsFunc(pools, func(p admin.Pool) bool { return len(p.Conditions) > 0 || !p.Ready })
	})
}

// follow runs the commands below a heading of the page, and returns what they print. A line that begins with kubectl is for a cluster,
// which there is none of.
func (d *drill) follow(heading string) (printed string) {
	d.t.Helper()
	commands, queries := d.page.commands[heading], d.page.queries[heading]
	if len(commands)+len(queries) == 0 {
		d.t.Fatalf("the page of %s has no commands below %q, but %q", d.alert, heading, slices.Sorted(maps.Keys(d.page.commands)))
	}
	d.followed[heading] = true
	for _, command := range commands {
		if isForTheNode(command) {
			printed += d.run(fill(d.t, command, d.words))
		}
	}
	return printed
}

// isForTheNode says whether a command is typed on the node, or where the kubeconfig is.
func isForTheNode(command string) bool {
	return !strings.HasPrefix(command, "kubectl ") && !strings.HasPrefix(command, "helm ")
}

// run runs one command, without a shell: Loam's image has none.
func (d *drill) run(command string) string {
	d.t.Helper()
	fields := words(command)
	cmd := exec.Command(fields[0], fields[1:]...)
	cmd.Env = append(os.Environ(), "LOAM_SOCKET="+d.agent.Socket)
	out, err := cmd.CombinedOutput()
	d.t.Logf("$ %s\n%s", command, out)
	mended := fields[0] == "e2fsck" && cmd.ProcessState.ExitCode() == 1
	if err != nil && !mended {
		d.t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}

// words splits a command at blanks that are not within single quotes.
func words(command string) (all []string) {
	for i, part := range strings.Split(command, "'") {
		if i%2 == 0 {
			all = append(all, strings.Fields(part)...)
		} else {
			all = append(all, part)
		}
	}
	return all
}

// ask asks Prometheus what stands below a heading, and returns the first series of the last answer.
func (d *drill) ask(heading string) (labels map[string]string) {
	d.t.Helper()
	d.followed[heading] = true
	for _, expr := range d.page.queries[heading] {
		found := d.prometheus.Query(d.t, fill(d.t, expr, d.words))
		if len(found) == 0 {
			d.t.Fatalf("%s has no answer", expr)
		}
		labels = found[0].Metric
	}
	if labels == nil {
		d.t.Fatalf("the page of %s has no query below %q", d.alert, heading)
	}
	return labels
}

// wantAllFollowed sees to it that there are no commands on the page that nobody has run.
func (d *drill) wantAllFollowed() {
	d.t.Helper()
	for _, all := range []map[string][]string{d.page.commands, d.page.queries} {
		for heading, commands := range all {
			inGuest := slices.ContainsFunc(commands, isForTheNode)
			if inGuest && !d.followed[heading] && lvmtest.IsLong() {
				d.t.Errorf("what stands below %q was not tried: %q", heading, commands)
			}
		}
	}
}

// TestEachAlertHasItsPage needs no guest.
func TestEachAlertHasItsPage(t *testing.T) {
	text, err := os.ReadFile(prometheus.Alerts)
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(prometheus.Repository + "/docs/runbooks/README.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(text), -1)
	urls := regexp.MustCompile(`runbook_url: (\S+)`).FindAllStringSubmatch(string(text), -1)
	if len(names) != len(urls) || len(names) < 15 {
		t.Fatalf("%d alerts name %d pages", len(names), len(urls))
	}
	for i, match := range names {
		alert, url := match[1], urls[i][1]
		if url != address+"docs/runbooks/"+alert+".md" {
			t.Errorf("%s: the page is %s", alert, url)
		}
		p := readPage(t, url)
		if !strings.HasPrefix(p.text, "# "+alert+"\n") || !strings.Contains(p.text, "\n## Followed\n") {
			t.Errorf("%s: the page has not its name as title, or does not say in a section Followed how it was tried", alert)
		}
		drilled := slices.ContainsFunc(exercises(), func(e exercise) bool { return e.alert == alert })
		if drilled != strings.Contains(p.text, "`TestDrill/"+alert+"`") {
			t.Errorf("%s is followed by a drill: %v; its page should say so", alert, drilled)
		}
		if !strings.Contains(string(index), "["+alert+"]("+alert+".md)") {
			t.Errorf("docs/runbooks/README.md does not lead to %s", alert)
		}
	}
	pages, err := filepath.Glob(prometheus.Repository + "/docs/runbooks/Loam*.md")
	if err != nil || len(pages) != len(names) {
		t.Errorf("%d pages for %d alerts, %v", len(pages), len(names), err)
	}
}
