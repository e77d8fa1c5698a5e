package cluster

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Bounds on the log of one container: some days of an agent's.
const (
	logLines = 20_000
	logBytes = 32 << 20
)

// Collection is what to put into a support bundle.
type Collection struct {
	Survey
	Version string // of whoever collects
	// Logs is of how many agents the logs are taken: of those where most is wrong. Those of all other parts always are.
	Logs int
}

// CollectKinds are those of which Collect wants the Objects.
func CollectKinds() []Kind { return append(StatusKinds(), Occurrences) }

// Entry is a file of a bundle.
type Entry struct {
	Name string `json:"name"`
	Size int    `json:"size"`
}

// Collect writes a support bundle, a tar archive compressed with gzip, and says what is in it and what could not be had. In it is nothing
// of a Secret, no value of an environment variable, no annotation of others, and what looks like a key or a token is blackened. Errors:
// those of w.
func (c *Client) Collect(ctx context.Context, w io.Writer, what Collection) ([]Entry, []Gap, error) {
	compressed := gzip.NewWriter(w)
	b := &bundle{tar: tar.NewWriter(compressed), at: what.Now, gaps: slices.Clone(what.Gaps)}
	status := Assess(what.Survey)
	b.json("status.json", status)
	b.json("versions.json", c.versions(what, b))
	c.configuration(ctx, b)
	b.json("events.json", Events(what.Events, time.Time{}))
	for _, g := range what.Agents {
		b.json(path.Join("agents", fileName(g.Node)+".json"), g)
	}
	b.objects(what.Objects)
	for _, p := range withLogs(what.Own, status, what.Logs) {
		c.logs(ctx, b, p)
	}
	b.json("gaps.json", append([]Gap{}, b.gaps...))
	for _, end := range []func() error{b.tar.Close, compressed.Close} {
		if err := end(); b.err == nil {
			b.err = err
		}
	}
	return b.entries, b.gaps, b.err
}

// bundle is an archive while it is written. After its first error, nothing more is.
type bundle struct {
	tar     *tar.Writer
	at      time.Time
	entries []Entry
	gaps    []Gap
	err     error
}

func (b *bundle) add(name string, content []byte) {
	if b.err != nil {
		return
	}
	content = blackened(content)
	b.err = b.tar.WriteHeader(&tar.Header{Name: path.Join("loam", name), Mode: 0o600, Size: int64(len(content)), ModTime: b.at})
	if b.err == nil {
		_, b.err = b.tar.Write(content)
	}
	b.entries = append(b.entries, Entry{name, len(content)})
}

func (b *bundle) json(name string, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		b.miss(name, err)
		return
	}
	b.add(name, append(text, '\n'))
}

func (b *bundle) miss(what string, why error) { b.gaps = append(b.gaps, Gap{what, why.Error()}) }

// versions are who collects what from whom.
func (c *Client) versions(what Collection, b *bundle) any {
	v := struct {
		Plugin     string       `json:"plugin"`
		Kubernetes string       `json:"kubernetes"`
		Agents     []VersionRow `json:"agents"`
	}{Plugin: what.Version, Agents: Versions(what.Survey)}
	server, err := c.Kubernetes.Discovery().ServerVersion()
	if err != nil {
		b.miss("version of Kubernetes", err)
		return v
	}
	v.Kubernetes = server.GitVersion
	return v
}

func (c *Client) configuration(ctx context.Context, b *bundle) {
	text, err := c.Configuration(ctx)
	if err != nil {
		b.miss("configuration", err)
		return
	}
	b.add("configuration.yaml", []byte(text))
}

// Configuration is what the agents are given as theirs.
func (c *Client) Configuration(ctx context.Context) (string, error) {
	m, err := c.Kubernetes.CoreV1().ConfigMaps(c.Namespace).Get(ctx, configMap, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return m.Data["config.yaml"], nil
}

// objects writes each kind as YAML.
func (b *bundle) objects(o Objects) {
	b.yaml("nodes", pointers(o.Nodes))
	b.yaml("pods", pointers(o.Own))
	b.yaml("daemonsets", pointers(o.DaemonSets))
	b.yaml("deployments", pointers(o.Deployments))
	b.yaml("storageclasses", pointers(o.Classes))
	b.yaml("csistoragecapacities", pointers(o.Capacities))
	b.yaml("persistentvolumes", pointers(o.Volumes))
}

func pointers[T any](all []T) []any {
	found := make([]any, 0, len(all))
	for i := range all {
		found = append(found, &all[i])
	}
	return found
}

func (b *bundle) yaml(kind string, objects []any) {
	var text []byte
	for _, o := range objects {
		y, err := clean(o)
		if err != nil {
			b.miss(kind, err)
			return
		}
		text = append(append(text, "---\n"...), y...)
	}
	b.add(path.Join("objects", kind+".yaml"), text)
}

// withLogs are the pods whose logs are taken: agents where something is wrong come first, and not more of them than that.
func withLogs(own []corev1.Pod, status Status, agents int) []corev1.Pod {
	var chosen []corev1.Pod
	for _, p := range own {
		if p.Labels[labelComponent] != componentAgent {
			chosen = append(chosen, p)
		}
	}
	for _, row := range status.Nodes[:min(agents, len(status.Nodes))] {
		for _, p := range own {
			if p.Labels[labelComponent] == componentAgent && p.Spec.NodeName == row.Node {
				chosen = append(chosen, p)
			}
		}
	}
	return chosen
}

// logs adds those of all containers of a pod, and of the ones before them where they were restarted.
func (c *Client) logs(ctx context.Context, b *bundle, p corev1.Pod) {
	restarted := map[string]bool{}
	for _, s := range p.Status.ContainerStatuses {
		restarted[s.Name] = s.RestartCount > 0
	}
	lines, bytes := int64(logLines), int64(logBytes)
	for _, container := range p.Spec.Containers {
		for _, previous := range []bool{false, true} {
			if previous && !restarted[container.Name] {
				continue
			}
			name := container.Name
			if previous {
				name += ".previous"
			}
			name = path.Join("logs", fileName(p.Name), fileName(name)+".log")
			options := &corev1.PodLogOptions{Container: container.Name, Previous: previous, Timestamps: true, TailLines: &lines, LimitBytes: &bytes}
			text, err := c.Kubernetes.CoreV1().Pods(p.Namespace).GetLogs(p.Name, options).DoRaw(ctx)
			if err != nil {
				b.miss(name, err)
				continue
			}
			b.add(name, text)
		}
	}
}

// fileName is a name as it may stand in an archive.
func fileName(s string) string {
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r < ' ' {
			return '_'
		}
		return r
	}, s)
	if name == "" || strings.HasPrefix(name, ".") {
		return fmt.Sprintf("_%s", name)
	}
	return name
}
