package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
)

// asks is a claim in namespace shop that has no volume.
func asks(name, class, size string) corev1.PersistentVolumeClaim {
	return corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(uid("7"))},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
}

// unplacedPod is pod p, that kube-scheduler has found no node for.
func unplacedPod(claims ...string) corev1.Pod {
	p := user("p", claims...)
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/2 nodes are available"}}
	return p
}

func verdictOf(t *testing.T, x Explanation, node string) Verdict {
	t.Helper()
	for _, v := range x.Nodes {
		if v.Node == node {
			return v
		}
	}
	t.Fatalf("no verdict on %s: %+v", node, x.Nodes)
	return Verdict{}
}

func TestAClaimThatWaitsIsExplained(t *testing.T) {
	for name, c := range map[string]struct {
		claim   corev1.PersistentVolumeClaim
		change  func(*Survey)
		summary string
		next    string
		fits    string            // nodes
		reasons map[string]string // by node
	}{
		"no pod": {
			claim:   asks("c", "loam", "20Gi"),
			summary: "no pod uses it yet: StorageClass loam has a volume made when one does. It would fit on nodes k1, k2", next: "make a pod", fits: "k1 k2",
		},
		"too large": {
			claim:   asks("c", "loam", "500Gi"),
			change:  func(s *Survey) { s.Capacities[1] = capacity("k2", 90*lvm.GiB) },
			summary: "no node has room for 500 GiB: the largest volume that fits is of 90 GiB, on node k2", next: "make it anew with at most 92160Mi",
			reasons: map[string]string{"k1": `pool fast cannot give a volume as large as claim "c" asks for (500 GiB)`},
		},
		"two claims of a pod": {
			claim: asks("c", "loam", "50Gi"),
			change: func(s *Survey) {
				s.Claims = append(s.Claims, asks("d", "loam", "50Gi"))
				s.Pods = []corev1.Pod{unplacedPod("c", "d")}
			},
			summary: `no node fits: pool fast has too little room for claims "c", "d" together (100 GiB)`, next: "describe pod p",
		},
		"no such class": {
			claim: asks("c", "gold", "1Gi"), summary: `there is no StorageClass "gold"; Loam's are loam`, next: "kubectl get storageclasses",
		},
		"another driver's class": {
			claim: asks("c", "nfs", "1Gi"),
			change: func(s *Survey) {
				s.Classes = append(s.Classes, storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "nfs"}, Provisioner: "nfs.x"})
			},
			summary: "StorageClass nfs is of nfs.x, not of Loam, whose are loam", next: "kubectl get storageclasses",
		},
		"no class": {
			claim: asks("c", "", "1Gi"), summary: `its storageClassName is ""`, next: "kubectl get persistentvolumes",
		},
		"no pool": {
			claim: asks("c", "slow", "1Gi"),
			change: func(s *Survey) {
				s.Classes = append(s.Classes, class("slow", "slow"))
				s.away("k2", "no answer within 10s")
			},
			summary: "no node offers volumes of StorageClass slow", next: "kubectl loam pools",
			reasons: map[string]string{"k1": "there is no pool slow", "k2": "the agent does not answer: no answer within 10s"},
		},
		"a pool with a problem": {
			claim: asks("c", "loam", "1Gi"),
			change: func(s *Survey) {
				s.Capacities = s.Capacities[:1]
				s.Agents[1].Report.Pools[0].Problem = "volume group loam-fast does not exist"
			},
			summary: "no pod uses it yet", fits: "k1", reasons: map[string]string{"k2": "pool fast gives nothing: volume group loam-fast does not exist"},
		},
		"no agent": {
			claim:   asks("c", "loam", "1Gi"),
			change:  func(s *Survey) { s.Nodes = append(s.Nodes, nodeObject("k3")) },
			summary: "no pod uses it yet", fits: "k1 k2", reasons: map[string]string{"k3": "there is no agent of Loam"},
		},
		"other constraints": {
			claim: asks("c", "loam", "1Gi"),
			change: func(s *Survey) {
				p := unplacedPod("c")
				p.Spec.NodeSelector = map[string]string{"kubernetes.io/hostname": "k2"}
				s.Pods = []corev1.Pod{p}
				s.Nodes[1].Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}}
			},
			summary: "no node fits: those with room for it are out of reach for other reasons", next: "describe pod p",
			reasons: map[string]string{"k1": "the pod selects nodes with the label kubernetes.io/hostname=k2", "k2": "the node is cordoned"},
		},
		"what kube-scheduler says": {
			claim:   asks("c", "loam", "1Gi"),
			change:  func(s *Survey) { s.Pods = []corev1.Pod{unplacedPod("c")} },
			summary: "it would fit on nodes k1, k2, and its pod has found no node", next: "kubectl --namespace shop describe pod p", fits: "k1 k2",
		},
		"being made": {
			claim: func() corev1.PersistentVolumeClaim {
				c := asks("c", "loam", "1Gi")
				c.Annotations = map[string]string{"volume.kubernetes.io/selected-node": "k2"}
				return c
			}(),
			change: func(s *Survey) {
				s.Pods = []corev1.Pod{user("p", "c")}
				s.Events = []corev1.Event{{
					InvolvedObject: corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: "shop", Name: "c"}, Type: corev1.EventTypeWarning,
					Source: corev1.EventSource{Component: "loam.storage_x"}, Message: "the agent is away", LastTimestamp: metav1.NewTime(now),
				}}
			},
			summary: "kube-scheduler has chosen node k2, and the volume is being made there, which failed: the agent is away", next: "logs deployment/loam-controller", fits: "k1 k2",
		},
		"from another claim": {
			claim: func() corev1.PersistentVolumeClaim {
				c := asks("c", "loam", "10Gi")
				c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "data"}
				return c
			}(),
			change: func(s *Survey) {
				from := asks("data", "loam", "10Gi")
				from.Spec.VolumeName = "pv1"
				s.Claims = append(s.Claims, from)
			},
			summary: "no pod uses it yet", fits: "k1", reasons: map[string]string{"k2": `claim "c" is made from claim "data", whose volume is on node k1`},
		},
		"from a snapshot that is not there": {
			claim: func() corev1.PersistentVolumeClaim {
				c := asks("c", "loam", "10Gi")
				c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "VolumeSnapshot", Name: "monday"}
				return c
			}(),
			summary: `no node fits: claim "c" is made from snapshot "monday", which is not there, not ready, or not one of Loam's`,
			next:    "kubectl --namespace shop describe volumesnapshot monday",
		},
		"agent away": {
			claim: asks("c", "loam", "1Gi"),
			change: func(s *Survey) {
				s.away("k2", "its pod is pending")
				s.Agents[1].Away = true
			},
			summary: "no pod uses it yet", fits: "k1", reasons: map[string]string{"k2": "the agent is away: its pod is pending"},
		},
		"what is not known": {
			claim: asks("c", "loam", "1Gi"), change: func(s *Survey) { s.Capacities, s.Gaps = nil, []Gap{{string(Capacities), "forbidden"}} },
			summary: "where it would fit is not known",
		},
	} {
		s := well()
		s.Claims = []corev1.PersistentVolumeClaim{c.claim}
		if c.change != nil {
			c.change(&s)
		}
		x, err := Explain(context.Background(), s, "shop/c")
		if err != nil || !strings.HasPrefix(x.Summary, c.summary) || !strings.Contains(strings.Join(x.Next, "\n"), c.next) {
			t.Errorf("%s: %q, next %q, %v\nwant %q, next %q", name, x.Summary, x.Next, err, c.summary, c.next)
		}
		var fits []string
		for _, v := range x.Nodes {
			if v.Fits {
				fits = append(fits, v.Node)
			}
		}
		if strings.Join(fits, " ") != c.fits {
			t.Errorf("%s: fits %v, want %s (%+v)", name, fits, c.fits, x.Nodes)
		}
		for node, want := range c.reasons {
			if got := strings.Join(verdictOf(t, x, node).Reasons, "; "); !strings.Contains(got, want) {
				t.Errorf("%s: %s: %q; want %q", name, node, got, want)
			}
		}
	}
}

func TestABoundClaimIsExplained(t *testing.T) {
	bound := asks("data", "loam", "10Gi")
	bound.Spec.VolumeName, bound.Status.Phase = "pv1", corev1.ClaimBound
	for name, c := range map[string]struct {
		change  func(*Survey)
		summary string
		next    bool
	}{
		"well":   {summary: "its volume is on node k1, in pool fast: mounted"},
		"broken": {func(s *Survey) { s.Agents[0].Report.Volumes[0].Health = "suspended" }, "its volume is on node k1, in pool fast: suspended", true},
		"agent away": {
			func(s *Survey) { s.away("k1", "no answer within 10s") },
			"its volume is on node k1, in pool fast: not known: its agent does not answer (no answer within 10s)", true,
		},
		"growing": {
			func(s *Survey) {
				s.Claims[0].Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("20Gi")
				s.Claims[0].Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")}
				s.Claims[0].Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: "Resizing", Message: "no room"}}
			},
			"its volume is on node k1, in pool fast: mounted; it has 10 GiB, and 20 GiB are asked for (Resizing: no room)", false,
		},
		"pod without a node": {
			func(s *Survey) {
				s.Pods = []corev1.Pod{unplacedPod("data")}
				s.Nodes[0].Spec.Taints = []corev1.Taint{{Key: "x", Value: "y", Effect: corev1.TaintEffectNoSchedule}}
			},
			"its volume is on node k1, in pool fast: mounted; pod p can run on that node alone, and has no place there", true,
		},
		"another's": {func(s *Survey) { s.Volumes = nil }, "it is bound to PersistentVolume pv1, which is not one of Loam's", false},
		"lost":      {func(s *Survey) { s.Claims[0].Status.Phase = corev1.ClaimLost }, "its PersistentVolume pv1 is gone", true},
	} {
		s := well()
		s.Claims = []corev1.PersistentVolumeClaim{*bound.DeepCopy()}
		if c.change != nil {
			c.change(&s)
		}
		x, err := Explain(context.Background(), s, "shop/data")
		if err != nil || !strings.HasPrefix(x.Summary, c.summary) || (len(x.Next) > 0) != c.next {
			t.Errorf("%s: %q, next %q, %v\nwant %q", name, x.Summary, x.Next, err, c.summary)
		}
		if name == "pod without a node" && verdictOf(t, x, "k1").Reasons[0] != "the pod does not tolerate the node's taint x=y" {
			t.Errorf("%s: %+v", name, x.Nodes)
		}
	}
	if _, err := Explain(context.Background(), well(), "shop/none"); !errors.Is(err, ErrNoClaim) {
		t.Errorf("a claim that is not there: %v; want %v", err, ErrNoClaim)
	}
	s := well()
	s.Gaps = []Gap{{string(Claims), "forbidden"}}
	if _, err := Explain(context.Background(), s, "shop/none"); err == nil || errors.Is(err, ErrNoClaim) {
		t.Errorf("claims that are not known: %v; want an error other than %v", err, ErrNoClaim)
	}
}

func TestAffinityAndTaintsKeepPodsFromNodes(t *testing.T) {
	n := nodeObject("k1")
	n.Labels["disks"] = "4"
	n.Spec.Taints = []corev1.Taint{{Key: "gpu", Value: "yes", Effect: corev1.TaintEffectNoSchedule}, {Key: "soft", Effect: corev1.TaintEffectPreferNoSchedule}}
	term := func(key string, operator corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: operator, Values: values}}}
	}
	for _, c := range []struct {
		terms []corev1.NodeSelectorTerm
		fits  bool
	}{
		{[]corev1.NodeSelectorTerm{term("disks", corev1.NodeSelectorOpGt, "3")}, true},
		{[]corev1.NodeSelectorTerm{term("disks", corev1.NodeSelectorOpLt, "3")}, false},
		{[]corev1.NodeSelectorTerm{term("none", corev1.NodeSelectorOpExists), term("disks", corev1.NodeSelectorOpExists)}, true},
		{[]corev1.NodeSelectorTerm{term("kubernetes.io/hostname", corev1.NodeSelectorOpNotIn, "k1")}, false},
		{[]corev1.NodeSelectorTerm{{}}, false},
		{[]corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"k1"}}}}}, true},
	} {
		p := user("p")
		p.Spec.Tolerations = []corev1.Toleration{{Key: "gpu", Operator: corev1.TolerationOpExists}}
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: c.terms}}}
		if got := constraints(&p, &n); (len(got) == 0) != c.fits {
			t.Errorf("%+v: %v; want fits %v", c.terms, got, c.fits)
		}
	}
	p := user("p")
	p.Spec.NodeName = "k2"
	if got := strings.Join(constraints(&p, &n), "; "); got != "the pod is on node k2; the pod does not tolerate the node's taint gpu=yes" {
		t.Errorf("a pod elsewhere, without a toleration: %q", got)
	}
}

func TestPoolsThatAnAgentCannotTellAreNotCalledMissing(t *testing.T) {
	s := well()
	s.Claims = []corev1.PersistentVolumeClaim{asks("c", "loam", "1Gi")}
	s.Agents[0].Report.Pools = []admin.Pool(nil)
	s.Agents[0].Report.Problems = []string{"pools are not known: x"}
	s.Capacities = s.Capacities[1:]
	x, err := Explain(context.Background(), s, "shop/c")
	if err != nil || !strings.Contains(verdictOf(t, x, "k1").Reasons[0], "pools are not known: x") {
		t.Errorf("%+v, %v; want why the pools are not known", x.Nodes, err)
	}
}
