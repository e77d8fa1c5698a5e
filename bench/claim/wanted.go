package claim

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/loam-storage/loam/lvm"
)

// Wanted is what to measure.
type Wanted struct {
	Class string
	// Node is the one to measure and Each says that it is every fit one; neither: one that kube-scheduler chooses.
	Node string
	Each bool

	Image       string    // with `loam bench run`
	Profile     string    // by its name
	ProfileFile string    // what a profile of the user's own says; "" for one of those built in
	Size        lvm.Bytes // of the claim
	File        lvm.Bytes // of what is measured in it; FileIn
	Arguments   []string  // more of `loam bench run`

	Takes    time.Duration // on a node, about; to be told
	Parallel int           // nodes at a time
	Patience time.Duration // until a pod has started
	Timeout  time.Duration // of a measurement, from then on
}

// Client measures in a cluster.
type Client struct {
	Kubernetes kubernetes.Interface
	Namespace  string                  // where the pods and claims are made
	Tell       func(node, what string) // of progress, one at a time; node is "" for all

	telling sync.Mutex // guards Tell
}

// Errors of Gather besides those of Kubernetes.
var (
	ErrNoClass   = errors.New("no such StorageClass")
	ErrNoNode    = errors.New("no such node")
	ErrForbidden = errors.New("not permitted to you")
	// ErrPartial says that the report has figures, and not all.
	ErrPartial = errors.New("not all was measured")
	// ErrLeft says that something could not be removed.
	ErrLeft = errors.New("`loam bench pvc --cleanup` tries again")
)

func (w Wanted) check() error {
	switch {
	case w.Class == "":
		return errors.New("no StorageClass: expected its name")
	case w.Node != "" && w.Each:
		return errors.New("one node and each node: expected either")
	case w.File < lvm.MiB || w.File > w.Size:
		return fmt.Errorf("a file of %v in a claim of %v: expected at least 1 MiB, and that it fits", w.File, w.Size)
	case w.Parallel < 1:
		return fmt.Errorf("%d nodes at a time: expected at least 1", w.Parallel)
	case w.Patience < time.Second || w.Timeout < time.Second:
		return fmt.Errorf("waits of %v and %v: expected at least 1s", w.Patience, w.Timeout)
	}
	return nil
}
