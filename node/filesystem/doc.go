// Package filesystem makes, recognises, mounts and grows the file systems of volumes: ext4 and xfs.
//
// Make formats what its caller has proved to hold nothing (package signature); Made recognises a finished mkfs of ours
// by its UUID. Mounter mounts and binds beneath one root, through no symbolic link, and every method of it may be
// repeated. Nothing here repairs, and nothing removes more than an empty mount point.
package filesystem
