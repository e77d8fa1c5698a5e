// Package admin is what an operator may ask an agent and CSI cannot say: every disk with the reason why it is not taken,
// every pool with its room and health, every volume with its claim and its mounts.
//
// It is read-only: what changes a volume goes through CSI, to which this adds nothing. Handler serves a Source, which
// the agent implements, as JSON over HTTP on a unix socket beside CSI's; Client asks it. The paths begin with the
// version of the format: keys are added to version 1, never removed and never given another meaning.
package admin
