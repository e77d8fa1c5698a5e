package extender

import (
	"strconv"
	"unicode/utf8"
)

const (
	maxReason  = 300       // bytes
	maxReasons = 256 << 10 // bytes of all reasons in one answer; kube-scheduler asks of some hundred nodes at most
)

// appendResult writes an answer to a request (extender/v1, ExtenderFilterResult). What does not fit is not resolved by
// preemption: claims stay when pods go.
func (r request) appendResult(to []byte, a Answer) []byte {
	if r.whole {
		to = append(to, `{"Nodes":{"items":[`...)
	} else {
		to = append(to, `{"NodeNames":[`...)
	}
	for i, at := range a.Fits {
		if i > 0 {
			to = append(to, ',')
		}
		if r.whole {
			to = append(to, r.items[at]...)
		} else {
			to = appendString(to, r.nodes[at])
		}
	}
	if to = append(to, ']'); r.whole {
		to = append(to, '}')
	}
	return append(r.appendRefused(to, a), '}')
}

// appendRefused writes why nodes do not fit, as long as there is room for it: those beyond are left out without a reason.
func (r request) appendRefused(to []byte, a Answer) []byte {
	if len(a.Refused) == 0 {
		return to
	}
	reasons := make([][]byte, 0, len(a.Reasons))
	for _, text := range a.Reasons {
		reasons = append(reasons, appendString(nil, []byte(shortened(text))))
	}
	to = append(to, `,"FailedAndUnresolvableNodes":{`...)
	said := 0
	for i, refused := range a.Refused {
		name, why := r.nodes[refused.Node], reasons[refused.Reason]
		if said += len(name) + len(why); said > maxReasons {
			break
		}
		if i > 0 {
			to = append(to, ',')
		}
		to = append(appendString(to, name), ':')
		to = append(to, why...)
	}
	return append(to, '}')
}

// shortened is a reason of at most maxReason bytes.
func shortened(text string) string {
	if len(text) <= maxReason {
		return text
	}
	end := maxReason
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// appendScores writes what nodes are worth (extender/v1, HostPriorityList).
func (r request) appendScores(to []byte, scores []int64) []byte {
	to = append(to, '[')
	for at, score := range scores {
		if at > 0 {
			to = append(to, ',')
		}
		to = appendString(append(to, `{"Host":`...), r.nodes[at])
		to = strconv.AppendInt(append(to, `,"Score":`...), score, 10)
		to = append(to, '}')
	}
	return append(to, ']')
}
