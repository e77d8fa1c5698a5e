package sanity

import (
	"strings"
	"testing"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

// undeclared are csi-sanity's reasons to skip a test that follow from a capability which Loam does not declare.
var undeclared = []string{
	"Modify volume not supported", "Modify Volume not supported", "ControllerModifyVolume not supported", // VolumeAttributesClass
	"ControllerPublishVolume not supported", "Controller Publish, UnpublishVolume not supported", // nothing to attach
	"ControllerUnpublishVolume not supported", "ControllerPublishVolume.readonly field not supported",
	"testnodevolumeattachlimit not enabled",
	"GroupControllerService not supported", "VolumeGroupSnapshots not supported",
	"SNAPSHOT_ACCESSIBILITY_CONSTRAINTS not supported",
}

// thinOnly are those that a node with thick pools alone does not declare besides.
var thinOnly = []string{
	"Snapshot not supported", "Volume Cloning not supported", "ListSnapshots not supported", "GetSnapshot not supported",
	"DeleteSnapshot not supported", "CreateSnapshot not supported",
}

func TestSanity(t *testing.T) {
	disks := lvmtest.RequireDisks(t, 2)
	gomega.RegisterFailHandler(ginkgo.Fail)
	describe(t, "thin", "mount", disks[0])
	describe(t, "thick", "block", disks[1])
	ginkgo.ReportAfterSuite("nothing is skipped that should run", func(r ginkgo.Report) {
		for _, s := range r.SpecReports {
			if why, wrong := wronglySkipped(s); wrong {
				t.Errorf("csi-sanity skipped %q: %s", s.FullText(), why)
			}
		}
	})
	ginkgo.RunSpecs(t, "csi-sanity")
}

// describe registers all of csi-sanity for an agent with one pool of that type, with volumes of that access type.
func describe(t *testing.T, kind, access, disk string) {
	agent := nodetest.Start(t, nodetest.Options{Config: "pools:\n- name: " + kind + "\n  type: " + kind + "\n  devices: {paths: [" + disk + "]}\n"})
	config := sanity.NewTestConfig()
	config.Address = "unix://" + agent.Socket
	config.TargetPath = agent.Dir + "/target"
	config.StagingPath = agent.Dir + "/staging"
	config.TestVolumeSize = int64(32 * lvm.MiB)
	config.TestVolumeExpandSize = int64(64 * lvm.MiB)
	config.TestVolumeAccessType = access
	config.TestVolumeParameters = map[string]string{"pool": kind}
	ginkgo.Describe(kind+" pool", func() { sanity.GinkgoTest(&config) })
}

// wronglySkipped says why a test did not run, when that does not follow from what the agent declares.
func wronglySkipped(s types.SpecReport) (why string, wrong bool) {
	if s.LeafNodeType != types.NodeTypeIt || s.State.Is(types.SpecStatePassed|types.SpecStateFailureStates) {
		return "", false
	}
	if s.State.Is(types.SpecStatePending) { // csi-sanity itself marks one as fragile
		return "", false
	}
	why = s.Failure.Message
	for _, u := range undeclared {
		if strings.Contains(why, u) {
			return why, false
		}
	}
	for _, u := range thinOnly {
		if strings.Contains(why, u) && strings.Contains(s.FullText(), "thick pool") {
			return why, false
		}
	}
	return why, true
}
