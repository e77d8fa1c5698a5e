// Package drill has no code of its own: its tests follow the runbooks (docs/runbooks), from an alert of a real Prometheus to all well
// again, by the commands that stand on the alert's page.
package drill
