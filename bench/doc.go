// Package bench measures disks, pools and volumes so that the figures can be believed: with direct I/O that is checked
// against the kernel's own counters, in repetitions whose order alternates, as latency histograms rather than means, and with
// a label on every figure that is quick, or not steady.
//
// A Profile lists Jobs and how long and how often each runs. A Target says where; an Engine (the built-in one, or fio) runs
// one Job once and returns a Measurement. Run plans the whole and returns a Report, which is printed as a table, stored as
// JSON, drawn as HTML, and compared with another one.
//
// The package never writes to what it was not given as blank or made itself, removes what it made, also when it is interrupted, and
// logs nothing.
package bench
