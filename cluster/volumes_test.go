package cluster

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
)

func TestVolumesAreJoinedWithWhoUsesThem(t *testing.T) {
	s := well()
	s.Pods = []corev1.Pod{user("web-0", "data"), user("idle", "other")}
	s.Agents[0].Report.Volumes = append(s.Agents[0].Report.Volumes, admin.Volume{ID: "k1/snap-x", Kind: admin.KindSnapshot})
	got := Volumes(s, Choice{})
	if len(got) != 1 {
		t.Fatalf("%d volumes, want one: %+v", len(got), got)
	}
	v := got[0]
	if v.Claim != "shop/data" || v.PersistentVolume != "pv1" || v.Node != "k1" || v.State != "mounted" || *v.Used != lvm.GiB || strings.Join(v.Pods, " ") != "shop/web-0" {
		t.Errorf("got %+v", v)
	}
}

func TestVolumesOfAgentsThatAreAwayAreShownAsKubernetesKnowsThem(t *testing.T) {
	s := well()
	s.Volumes = append(s.Volumes, persistent("pv2", "k2/"+made("2"), "logs"), persistent("pv3", "k9/"+made("3"), "lost"), persistent("pv4", "k1/"+made("4"), "vanished"))
	s.away("k2", "no answer")
	want := map[string]string{
		"shop/data": "mounted", "shop/logs": "not known: its agent does not answer", "shop/lost": "not known: there is no agent on its node",
		"shop/vanished": "its node does not have it",
	}
	got := Volumes(s, Choice{})
	if len(got) != len(want) {
		t.Errorf("%d volumes, want %d", len(got), len(want))
	}
	for _, v := range got {
		if v.State != want[v.Claim] || (v.Used != nil) != (v.Claim == "shop/data") || v.Size != 10*lvm.GiB || v.FS != "ext4" {
			t.Errorf("%+v; want state %q", v, want[v.Claim])
		}
	}
}

func TestVolumesAreChosen(t *testing.T) {
	s := well()
	s.Agents[1].Report.Volumes = []admin.Volume{onDisk("k2", made("2"), "shop/gone")}
	for want, c := range map[string]Choice{
		"shop/data shop/gone": {},
		"shop/data":           {Node: "k1"},
		"shop/gone":           {Orphans: true},
		"":                    {Claim: "shop/none"},
	} {
		var got []string
		for _, v := range Volumes(s, c) {
			got = append(got, v.Claim)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%+v: %v; want %s", c, got, want)
		}
	}
	if on, all := s.NodeOf("shop/data"), s.NodeOf("shop/none"); on != "k1" || all != "" {
		t.Errorf("the volume of shop/data is on %q, and that of shop/none on %q; want k1, and nowhere", on, all)
	}
	s.Gaps = []Gap{{string(Persistent), "forbidden"}}
	s.Volumes = nil
	if got := Volumes(s, Choice{Orphans: true}); len(got) > 0 {
		t.Errorf("orphans without knowing the PersistentVolumes: %+v", got)
	}
}
