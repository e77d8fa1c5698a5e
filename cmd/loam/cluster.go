package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"

	"github.com/loam-storage/loam/cluster"
	"github.com/loam-storage/loam/node"
)

// plugin is the name under which this binary is a plugin of kubectl, and pluginCompletion the one under which kubectl asks it
// to complete words (kubectl plugin, "Plugin shell completion").
const (
	plugin           = "kubectl-loam"
	pluginCompletion = "kubectl_complete-loam"
)

// clusterOptions are the flags of all commands of `kubectl loam`.
type clusterOptions struct {
	kubeconfig string
	context    string
	claims     string // their namespace
	namespace  string // Loam's
	patience   time.Duration
}

// flags say which cluster, and where in it.
func (o *clusterOptions) flags(cmd *cobra.Command, namespace string) {
	f := cmd.PersistentFlags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "`FILE` that says how to reach Kubernetes (default: $KUBECONFIG, or ~/.kube/config)")
	f.StringVar(&o.context, "context", "", "`NAME` of the kubeconfig's context (default: the current one)")
	f.StringVarP(&o.claims, "namespace", "n", "", namespace)
	f.StringVar(&o.namespace, "loam-namespace", "", "`NAMESPACE` of Loam (default: where the agents are)")
}

// reached is a cluster, and what names and times mean for whoever asks.
type reached struct {
	*cluster.Client
	claims string // the namespace of claims that are named without one
	now    time.Time
}

// pluginRoot is `kubectl loam`.
func (a *app) pluginRoot() *cobra.Command {
	root := group(plugin, "What an operator asks of Loam in a whole cluster", `Shows Loam in a whole cluster: what is wrong and what to type next, disks, pools, volumes, and why a
claim waits. It reads Kubernetes with your kubeconfig, and asks each agent by a command in its
pod, for which it needs the permission to create pods/exec in Loam's namespace. Only bench changes
anything: it makes pods and claims, and removes them.`)
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl loam"}
	root.Example = `  kubectl loam status                       what is wrong, and what to type next
  kubectl loam disks                        every disk, and why it is not taken
  kubectl loam explain pvc shop/data        why it waits, and where it would fit
  kubectl loam volumes --pvc shop/data      where it is, and who uses it`
	o := &clusterOptions{}
	o.flags(root, "`NAMESPACE` of claims that are named without one, and of what bench makes (default: the context's)")
	f := root.PersistentFlags()
	f.DurationVar(&a.timeout, "timeout", 2*time.Minute, "longest wait for everything")
	f.DurationVar(&o.patience, "agent-timeout", 10*time.Second, "longest wait for one agent")
	a.output = choice{value: outputTable, allowed: []string{outputTable, outputJSON}}
	f.VarP(&a.output, "output", "o", "how to print it")
	must(root.RegisterFlagCompletionFunc("output", a.output.complete))
	root.AddCommand(
		a.clusterStatus(o), a.clusterDisks(o), a.clusterPools(o), a.clusterVolumes(o), a.clusterEvents(o), a.clusterExplain(o), a.clusterCollect(o),
		a.clusterVersion(o), a.clusterBench(o), exitTopic(),
	)
	return root
}

// exitTopic documents what scripts rest on.
func exitTopic() *cobra.Command {
	return &cobra.Command{
		Use: "exit-codes", Short: "What the exit codes mean",
		Long: `Exit codes:
  0   all that was asked for is shown
  1   Kubernetes refused or failed, or Loam is not installed
  2   wrong usage; nothing was asked
  3   there is no claim, node or StorageClass of that name
  4   something could not be read or measured, or an agent did not answer; the rest is shown`,
	}
}

// reach is how tests put another cluster in place.
type reach func(clusterOptions) (reached, error)

// cluster finds the cluster that the flags and the kubeconfig mean. Nothing is asked.
func (a *app) cluster(o clusterOptions) (reached, error) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // what fails comes as an error, too
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	config := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{
		CurrentContext: o.context, Context: clientcmdapi.Context{Namespace: o.claims},
	})
	rest, err := config.ClientConfig()
	if err != nil {
		return reached{}, fmt.Errorf("how to reach Kubernetes: %w", err)
	}
	claims, _, err := config.Namespace()
	if err != nil {
		return reached{}, fmt.Errorf("how to reach Kubernetes: %w", err)
	}
	rest.UserAgent = plugin + "/" + node.Version()
	rest.QPS, rest.Burst = 50, 100 // the lists of a large cluster come in many pages
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return reached{}, fmt.Errorf("how to reach Kubernetes: %w", err)
	}
	custom, err := dynamic.NewForConfig(rest)
	if err != nil {
		return reached{}, fmt.Errorf("how to reach Kubernetes: %w", err)
	}
	return reached{&cluster.Client{
		Kubernetes: client, Dynamic: custom, Exec: cluster.NewExec(rest, client), Namespace: o.namespace, Patience: o.patience,
	}, claims, a.now()}, nil
}

// inCluster makes a command's body of one that needs a cluster with Loam in it. what is what it does, for errors.
func (a *app) inCluster(o *clusterOptions, what string, f func(context.Context, reached, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if o.patience <= 0 || a.timeout <= 0 {
			return usage("--timeout and --agent-timeout must be more than nothing")
		}
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), a.timeout, fmt.Errorf("no answer within %v (--timeout waits longer)", a.timeout))
		defer cancel()
		r, err := a.reach(*o)
		if err == nil {
			err = r.Find(ctx)
		}
		if err == nil {
			err = f(ctx, r, args)
		}
		if _, told := errors.AsType[failure](err); told || err == nil {
			return err
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return refuse("could not %s: %w", what, err)
	}
}

// survey reads those kinds, and asks the agents, on one node or on all for "".
func (r reached) survey(ctx context.Context, on string, kinds ...cluster.Kind) cluster.Survey {
	s := cluster.Survey{Namespace: r.Namespace, Objects: r.Read(ctx, kinds...), Now: r.now}
	s.Agents = r.Ask(ctx, s.Objects, on)
	return s
}

// known refuses the name of a node that there is none of; "" is none.
func known(s cluster.Survey, on string) error {
	if on == "" || len(s.Agents) > 0 || s.Unread(cluster.Nodes) {
		return nil
	}
	for _, n := range s.Nodes {
		if n.Name == on {
			return failure{exitPartial, fmt.Errorf("node %s has no agent", on)}
		}
	}
	return notFound("the cluster has no node %q", on)
}

// incomplete tells what is not shown, and why; it is nil when everything is.
func (a *app) incomplete(s cluster.Survey) error {
	silent := s.Silent()
	for _, f := range silent {
		fmt.Fprintf(a.stderr, "warning: %s: %s (`%s`)\n", some(f.Nodes), oneCell(f.What), f.Next)
	}
	for _, g := range s.Gaps {
		fmt.Fprintf(a.stderr, "warning: %s are not known: %s\n", g.What, oneCell(g.Why))
	}
	return partial(s.Gaps, len(silent) > 0)
}

func partial(gaps []cluster.Gap, silent bool) error {
	var missing []string
	if silent {
		missing = append(missing, "agents that did not answer")
	}
	for _, g := range gaps {
		missing = append(missing, g.What)
	}
	if len(missing) == 0 {
		return nil
	}
	return failure{exitPartial, fmt.Errorf("not all is shown, for want of %s", strings.Join(missing, ", "))}
}

// namedNodes is how many nodes are named where something is the same on many.
const namedNodes = 4

// some names nodes, the first of many.
func some(nodes []string) string {
	if more := len(nodes) - namedNodes; more > 0 {
		return strings.Join(nodes[:namedNodes], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(nodes, ", ")
}
