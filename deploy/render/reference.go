package main

import (
	"strings"

	controllermetrics "github.com/loam-storage/loam/controller/metrics"
	"github.com/loam-storage/loam/metric"
	"github.com/loam-storage/loam/node/metrics"
	extender "github.com/loam-storage/loam/scheduler-extender"
)

// metricsReference is the page with all metrics.
func metricsReference() string {
	return strings.NewReplacer("AGENT\n", metric.Table(metrics.All()), "CONTROLLER\n", metric.Table(controllermetrics.All()), "EXTENDER\n", metric.Table(extender.Metrics())).Replace(`# Metrics

<!-- Written by deploy/render: make manifests -->

In Prometheus' text format or OpenMetrics, at ` + "`/metrics`" + `. Beside these there are those of the Go runtime and of the process (` + "`go_*`, `process_*`" + `).
The sidecars beside the controller have theirs on ports 9753 to 9755.

The chart's PodMonitors have Prometheus keep the labels that Loam gives (` + "`honorLabels`" + `): ` + "`namespace`" + ` is then the claim's. A scrape configuration of your own
should say so, too; without, it becomes ` + "`exported_namespace`" + `, by which neither the [dashboard](../dashboard.md) nor the kubelet's metrics go.

## Agents

Each agent serves them at its health address, port 9751 in the chart's DaemonSet.
What is told of pools and volumes is what the agent last saw of them, some seconds ago at most; ` + "`loam_pools_observed_timestamp_seconds`" + ` says when.
A scrape starts no process and waits for no lock. A metric that cannot be known is absent.

Volumes are labelled with their claim, so that they can be joined with the kubelet's ` + "`kubelet_volume_stats_*`" + `.

AGENT

## The controller

Each replica serves them at its health address, port 9752 in the chart's Deployment. The sidecars elect leaders, so that most calls go to one replica.

CONTROLLER

## The scheduler extender

It serves them at its health address, port 9752 in the chart's Deployment, [where it is installed](../scheduler-extender.md).

EXTENDER
`)
}
