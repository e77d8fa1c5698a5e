package extender

import (
	"fmt"
	"strings"

	"github.com/loam-storage/loam/lvm"
)

// maxNamed bounds how many claims a reason names.
const maxNamed = 3

// reasons are why nodes were refused, in words. kube-scheduler counts equal ones ("4,998 pool fast has too little room …"), so
// a reason says nothing that differs between nodes, and there are few: each is made once for a pod.
type reasons struct {
	wants []want
	texts []string
	known map[reason]int
}

type reason struct {
	why   misfit
	which int // want, or pin for elsewhere
}

// of is the number of a reason among texts.
func (r *reasons) of(why misfit, which int, text func() string) int {
	if why == contested || why == unknown {
		which = 0
	}
	number, known := r.known[reason{why, which}]
	if !known {
		number = len(r.texts)
		r.texts = append(r.texts, text())
		if r.known == nil {
			r.known = map[reason]int{}
		}
		r.known[reason{why, which}] = number
	}
	return number
}

// room is the reason of a want that does not fit.
func (r *reasons) room(why misfit, which int) int {
	return r.of(why, which, func() string {
		w := r.wants[which]
		switch why {
		case noPool:
			return fmt.Sprintf("no pool there for StorageClass %s", w.class)
		case tooLarge:
			return fmt.Sprintf("%s cannot give a volume as large as claim %q asks for (%v)", poolName(w), w.name, w.size)
		case together:
			names, sum := r.sharing(w)
			return fmt.Sprintf("%s has too little room for claims %s together (%s)", poolName(w), names, sum)
		case contested:
			return "the room there may be taken by other pods that are being placed just now"
		}
		return fmt.Sprintf("%s has too little room for claim %q (%v), beside what is being made there", poolName(w), w.name, w.size)
	})
}

// sharing names the claims that are to share a want's pool, and how much they ask for.
func (r *reasons) sharing(with want) (names, sum string) {
	var all []string
	var total lvm.Bytes
	for _, w := range r.wants {
		if w.pool == with.pool || w.pool == anyPool || with.pool == anyPool {
			all = append(all, fmt.Sprintf("%q", w.name))
			total += w.size
		}
	}
	names = strings.Join(all, ", ")
	if more := len(all) - maxNamed; more > 0 {
		names = fmt.Sprintf("%s and %d more", strings.Join(all[:maxNamed], ", "), more)
	}
	return names, total.String()
}

func poolName(w want) string {
	if w.poolTag == "" {
		return "every pool of the node"
	}
	return "pool " + w.poolTag
}
