package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/cluster"
)

func (a *app) clusterExplain(o *clusterOptions) *cobra.Command {
	explain := group("explain", "Say why a claim waits, or where its volume is", "Explains one thing of the cluster.")
	all := false
	pvc := &cobra.Command{
		Use: "pvc NAME", Short: "Say why a claim waits and where it would fit, or where its volume is", Aliases: []string{"persistentvolumeclaim"},
		Long: `Says of a claim (namespace/name, or a name in --namespace) that has a volume: where that is
and how it does. Of one that waits: why, on which nodes it would fit with all other claims of its
pod, what is in its way on the others, and what can be done. What fits is decided as by the
scheduler extender; LARGEST is what a node offers to kube-scheduler, which is rounded down.`,
		Example:           "  kubectl loam explain pvc shop/data",
		Args:              words("NAME"),
		ValidArgsFunction: a.completeInCluster(o, (*cluster.Client).ClaimNames),
		RunE: a.inCluster(o, "explain the claim", func(ctx context.Context, r reached, args []string) error {
			name := r.claim(args[0])
			s := cluster.Survey{Namespace: r.Namespace, Objects: r.Read(ctx, cluster.ExplainKinds()...), Now: r.now}
			s.Agents = r.Ask(ctx, s.Objects, s.NodeOf(name))
			x, err := cluster.Explain(ctx, s, name)
			if errors.Is(err, cluster.ErrNoClaim) {
				namespace, claim, _ := strings.Cut(name, "/")
				return notFound("there is no claim %q in namespace %q", claim, namespace)
			}
			if err != nil {
				return err
			}
			if err := a.print(x, nil, func(w io.Writer) { writeExplanation(w, x, r.now, all) }); err != nil {
				return err
			}
			return a.incomplete(s)
		}),
	}
	pvc.Flags().BoolVar(&all, "all", false, "every node")
	explain.AddCommand(pvc)
	return explain
}

func writeExplanation(w io.Writer, x cluster.Explanation, now time.Time, all bool) {
	var s sheet
	s.add("Claim", x.Claim)
	class := "no StorageClass"
	if x.Class != "" {
		class = "StorageClass " + x.Class
	}
	s.add("State", fmt.Sprintf("%s, %s, %v", x.Phase, class, x.Size))
	s.add("Used by", x.Pods...)
	if v := x.Volume; v != nil {
		used := ""
		if v.Used != nil {
			used = fmt.Sprintf(", %v of the pool", *v.Used)
		}
		s.add("Volume", fmt.Sprintf("%s, %s, %v%s", v.ID, contents(v.FS), v.Size, used))
	}
	why := "Why"
	if x.Volume != nil {
		why = "Where"
	}
	s.add(why, x.Summary)
	if x.Scheduler != "" {
		s.add("Scheduler says", x.Scheduler)
	}
	if len(x.Next) > 0 {
		s.add("What to do", x.Next...)
	}
	s.write(w)
	writeVerdicts(w, x.Nodes, all)
	writeLast(w, x.Events, now)
}

func writeVerdicts(w io.Writer, nodes []cluster.Verdict, all bool) {
	if len(nodes) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := table{titles: []string{"NODE", "FITS", ">LARGEST", "IN ITS WAY"}}
	for i, n := range nodes {
		if i == shown && !all {
			break
		}
		largest, fits := "-", "no"
		if n.Largest != nil {
			largest = n.Largest.String()
		}
		if n.Fits {
			fits = "yes"
		}
		t.add(n.Node, fits, largest, strings.Join(n.Reasons, "; "))
	}
	t.write(w)
	if more := len(nodes) - len(t.rows); more > 0 {
		fmt.Fprintf(w, "… and %s more (--all)\n", count(more, "node"))
	}
}

// writeLast shows the last few events.
func writeLast(w io.Writer, events []cluster.Event, now time.Time) {
	const most = 4
	if len(events) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := table{titles: []string{">AGE", ">COUNT", "FROM", "REASON", "MESSAGE"}}
	for _, e := range events[max(0, len(events)-most):] {
		t.add(age(now.Sub(e.Last)), fmt.Sprint(e.Count), e.From, e.Reason, e.Message)
	}
	t.write(w)
}
