// Guest runs a command as root on a kernel with device-mapper, with disks attached, and passes its streams, its exit
// status and a terminal through. It is how Loam's tests and its demo run, and a person can use it:
//
//	go run ./test/guest --disks=3x2G -- bash
//	go test -exec "$PWD/bin/guest --disks=3x2G --" ./lvm/...
//
// --help tells the rest. Its parts:
//
//   - package machine is the host's side: it boots User Mode Linux, QEMU, or uses this machine's own kernel
//   - package inside is the guest's side: the same program, as PID 1
//   - package wire is how the two talk
//   - package module says which kernel modules to load, in which order
//   - package terminal makes a terminal raw
package main
