// Guest runs a command as root on a kernel with device-mapper, with blank disks attached, and passes its streams and
// exit status through. It is how Loam's tests and its demo run; see `go run ./test/guest --help`.
package main
