package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/cluster"
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node"
)

func (a *app) clusterEvents(o *clusterOptions) *cobra.Command {
	since := time.Duration(0)
	cmd := &cobra.Command{
		Use: "events", Short: "List Loam's events of the whole cluster, the newest last",
		Long: `Lists what Loam's agents and controller, and the sidecars about its volumes, said of nodes, claims and
pods; what was said again and again is one line. Kubernetes keeps events for an hour unless told
otherwise (kube-apiserver --event-ttl).`,
		Args: words(),
		RunE: a.inCluster(o, "list events", func(ctx context.Context, r reached, _ []string) error {
			s := cluster.Survey{Namespace: r.Namespace, Objects: r.Read(ctx, cluster.Occurrences), Now: r.now}
			var from time.Time
			if since > 0 {
				from = r.now.Add(-since)
			}
			events := cluster.Events(s.Events, from)
			err := a.print(events, nil, func(w io.Writer) { writeEvents(w, events, r.now) })
			if err != nil {
				return err
			}
			if len(events) == 0 && len(s.Gaps) == 0 {
				a.hint("There are none.")
			}
			return a.incomplete(s)
		}),
	}
	cmd.Flags().DurationVar(&since, "since", 0, "only those of so long ago, as in 30m (default: all)")
	return cmd
}

func writeEvents(w io.Writer, events []cluster.Event, now time.Time) {
	t := table{titles: []string{">AGE", ">COUNT", "TYPE", "OBJECT", "FROM", "REASON", "MESSAGE"}}
	for _, e := range events {
		t.add(age(now.Sub(e.Last)), fmt.Sprint(e.Count), e.Type, e.Object, e.From, e.Reason, e.Message)
	}
	if len(t.rows) > 0 {
		t.write(w)
	}
}

// collectOptions are the flags of `kubectl loam collect`.
type collectOptions struct {
	file string
	logs int
}

func (a *app) clusterCollect(o *clusterOptions) *cobra.Command {
	var c collectOptions
	cmd := &cobra.Command{
		Use: "collect", Short: "Write what a supporter needs to know into one file",
		Long: `Writes a .tar.gz with the status, versions, configuration, what every agent tells, events, the logs of
Loam's pods, and nodes, Loam's pods and workloads, StorageClasses, capacities and PersistentVolumes
as YAML. It lists what it wrote.

Secrets are not read. Values of environment variables, annotations of others than Loam and
Kubernetes' storage, and what looks like a key or a token are left out. Names of nodes, namespaces,
claims and pods, and addresses of nodes, are in it: look before you hand it on.`,
		Example: "  kubectl loam collect\n  kubectl loam collect --output-file /tmp/loam.tar.gz",
		Args:    words(),
		RunE: a.inCluster(o, "collect", func(ctx context.Context, r reached, _ []string) error {
			if c.logs < 0 {
				return usage("--logs is %d, and cannot be less than 0", c.logs)
			}
			return a.collect(ctx, r, c)
		}),
	}
	cmd.Flags().StringVar(&c.file, "output-file", "", "`FILE` to write, which must not be there (default: loam-DATE-TIME.tar.gz)")
	cmd.Flags().IntVar(&c.logs, "logs", 20, "of how many agents to take the log, those first where most is wrong")
	return cmd
}

func (a *app) collect(ctx context.Context, r reached, c collectOptions) error {
	name := c.file
	if name == "" {
		name = "loam-" + r.now.UTC().Format("2006-01-02-150405") + ".tar.gz"
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return refuse("%s is there already, and is left as it is: choose another with --output-file", name)
	}
	if err != nil {
		return err
	}
	s := r.survey(ctx, "", cluster.CollectKinds()...)
	entries, gaps, err := r.Collect(ctx, file, cluster.Collection{Survey: s, Version: node.Version(), Logs: c.logs})
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(name)) // half of it would be taken for the whole
	}
	written := struct {
		File    string          `json:"file"`
		Entries []cluster.Entry `json:"entries"`
		Gaps    []cluster.Gap   `json:"gaps"`
	}{name, entries, append([]cluster.Gap{}, gaps...)}
	err = a.print(written, nil, func(w io.Writer) {
		t := table{titles: []string{"FILE", ">SIZE"}}
		for _, e := range entries {
			t.add(e.Name, lvm.Bytes(e.Size).String())
		}
		t.write(w)
		fmt.Fprintf(w, "\n%s has %s. No Secret is in it; names of nodes, claims and pods are.\n", name, count(len(entries), "file"))
	})
	if err != nil {
		return err
	}
	s.Gaps = gaps
	return a.incomplete(s)
}
