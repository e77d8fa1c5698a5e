package metrics

import "github.com/loam-storage/loam/metric"

// All are the metrics of an agent, in the order in which they are documented.
func All() []metric.Metric {
	var all []metric.Metric
	for _, t := range collected {
		all = append(all, t.Metric)
	}
	return append(all, own...)
}
