package main

import (
	"os"
	"testing"
)

func TestReferenceOfMetricsIsUpToDate(t *testing.T) {
	got, err := os.ReadFile("../../docs/reference/metrics.md")
	if err != nil || string(got) != metricsReference() {
		t.Errorf("docs/reference/metrics.md is not what the metrics are (%v): make manifests", err)
	}
}
