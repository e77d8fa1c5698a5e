package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/loam-storage/loam/lvm"
)

// mostRounds is after how many repetitions a job that is not steady is given up (SNIA's specification, 2.1.24: 25 rounds).
const mostRounds = 25

// Bounds of a profile's figures.
const (
	shortestRuntime = 100 * time.Millisecond
	longestRuntime  = 24 * time.Hour
	longestWarmUp   = time.Hour
	mostRepetitions = 1000
)

// smallBlock is the block that most databases' and file systems' random I/O has.
const smallBlock = 4 * lvm.KiB

// usualJobs are the jobs that say most of a disk. The last one is what etcd does with its log.
func usualJobs() []Job {
	return []Job{
		{Name: "seq-read", Pattern: Read, BlockSize: lvm.MiB, Depth: 8},
		{Name: "seq-write", Pattern: Write, BlockSize: lvm.MiB, Depth: 8},
		{Name: "rand-read-1", Pattern: RandRead, BlockSize: smallBlock, Depth: 1},
		{Name: "rand-read-32", Pattern: RandRead, BlockSize: smallBlock, Depth: 32},
		{Name: "rand-write-1", Pattern: RandWrite, BlockSize: smallBlock, Depth: 1},
		{Name: "rand-write-32", Pattern: RandWrite, BlockSize: smallBlock, Depth: 32},
		{Name: "mixed-32", Pattern: RandRW, BlockSize: smallBlock, Depth: 32, ReadPercent: 70},
		etcdLog(),
	}
}

// etcdLog writes as etcd does: an fdatasync after every entry of its log, which has some 2,300 bytes
// (https://etcd.io/docs/v3.5/op-guide/hardware/).
func etcdLog() Job {
	return Job{Name: "fsync", Pattern: Write, BlockSize: 2300, Depth: 1, Sync: true}
}

// database has the blocks of PostgreSQL, 8 KiB for data and log, and the scan of a large table.
func database() []Job {
	const block = 8 * lvm.KiB
	return []Job{
		{Name: "scan", Pattern: Read, BlockSize: lvm.MiB, Depth: 8},
		{Name: "lookup-1", Pattern: RandRead, BlockSize: block, Depth: 1},
		{Name: "lookup-32", Pattern: RandRead, BlockSize: block, Depth: 32},
		{Name: "checkpoint", Pattern: RandWrite, BlockSize: block, Depth: 32},
		{Name: "mixed-32", Pattern: RandRW, BlockSize: block, Depth: 32, ReadPercent: 70},
		{Name: "commit", Pattern: Write, BlockSize: block, Depth: 1, Sync: true},
	}
}

// Profiles are the built-in ones: quick takes about a minute, full and database a quarter to half an hour, etcd three minutes.
func Profiles() []Profile {
	thorough := Profile{Size: 4 * lvm.GiB, WarmUp: 5 * time.Second, Runtime: 30 * time.Second, Repetitions: 5, MaxRounds: mostRounds}
	named := func(name string, size lvm.Bytes, jobs []Job) Profile {
		p := thorough
		p.Name, p.Size, p.Jobs = name, size, jobs
		return p
	}
	return []Profile{
		{Name: "quick", Size: 256 * lvm.MiB, WarmUp: 500 * time.Millisecond, Runtime: 2 * time.Second, Repetitions: fewRepetitions, MaxRounds: mostRounds, Jobs: usualJobs()},
		named("full", thorough.Size, usualJobs()),
		named("database", thorough.Size, database()),
		// The log of etcd is preallocated in files of 64 MB.
		named("etcd", 64*lvm.MiB, []Job{etcdLog()}),
	}
}

// ProfileOf is the built-in profile of that name, or what a file has, whose path has a slash or a dot in it.
func ProfileOf(name string) (Profile, error) {
	all := Profiles()
	if at := slices.IndexFunc(all, func(p Profile) bool { return p.Name == name }); at >= 0 {
		return all[at], nil
	}
	if strings.ContainsAny(name, "./") {
		return loadProfile(name)
	}
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
	}
	return Profile{}, fmt.Errorf("unknown profile %q: expected %s, or the path of a file, with a dot or a slash in it", name, strings.Join(names, ", "))
}

// Check says which figure of a profile cannot be.
func (p Profile) Check() error {
	switch {
	case p.Size < lvm.MiB:
		return fmt.Errorf("a size of %v: expected at least 1 MiB", p.Size)
	case p.Runtime < shortestRuntime || p.Runtime > longestRuntime:
		return fmt.Errorf("a runtime of %v: expected %v to %v", p.Runtime, shortestRuntime, longestRuntime)
	case p.WarmUp < 0 || p.WarmUp > longestWarmUp:
		return fmt.Errorf("a warm-up of %v: expected 0s to %v", p.WarmUp, longestWarmUp)
	case p.Repetitions < 1 || p.Repetitions > mostRepetitions:
		return fmt.Errorf("%d repetitions: expected 1 to %d", p.Repetitions, mostRepetitions)
	}
	for _, j := range p.Jobs {
		if p.Size < j.BlockSize {
			return fmt.Errorf("a size of %v has no room for a block of job %s, which is %v", p.Size, j.Name, j.BlockSize)
		}
	}
	return nil
}

// Takes is about how long a measurement by the profile takes in so many places, without the writing of files beforehand.
func (p Profile) Takes(places int) time.Duration {
	return time.Duration(places*len(p.Jobs)*p.Repetitions) * (p.WarmUp + p.Runtime)
}
