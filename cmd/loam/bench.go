package main

import "github.com/spf13/cobra"

// benchCommand is `loam bench`, which measures and needs no agent.
func (a *app) benchCommand() *cobra.Command {
	cmd := group("bench", "Measure disks, pools and volumes, and the cost of each layer between them",
		`Measures what disks, pools and volumes give, with direct I/O that is checked against the kernel's own
counters, in repetitions whose order alternates, as latency histograms rather than means.`)
	cmd.AddCommand(a.benchRun(), a.benchLayers(), a.benchNeighbours(), a.benchPVCHere(), a.benchPod(), a.benchShow(), a.benchCompare())
	return cmd
}
