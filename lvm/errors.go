package lvm

import "errors"

// ErrNoDevice says that no active device-mapper device belongs to that logical volume.
var ErrNoDevice = errors.New("logical volume is not active")

// ErrName says that a name, tag or device path is not one that may reach an LVM command line.
var ErrName = errors.New("invalid name")
