// Package monitor watches the pools while nobody asks: it waits for device-mapper's events beside a slow tick, extends
// a thin pool before it is full, has file systems give back what they no longer use, sees those that failed, and keeps what a person should know as
// Conditions, which the agent tells in its log, in `loam pool list` and in events on the Node.
//
// Assess decides, and is pure; Monitor reads and acts. The package formats nothing, repairs no metadata and removes nothing:
// where that is needed, a condition says what to do.
package monitor
