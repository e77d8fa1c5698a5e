package extender

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// arguments are what kube-scheduler sends (extender/v1, ExtenderArgs), of a pod only what is looked at. Its types are not used:
// most of the time of an answer would go into what is not.
type arguments struct {
	Pod       *podArgument
	Nodes     *nodesArgument
	NodeNames *[]string
}

type podArgument struct {
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
		UID       string `json:"uid"`
	} `json:"metadata"`
	Spec struct {
		Volumes []struct {
			Name                  string `json:"name"`
			PersistentVolumeClaim *struct {
				ClaimName string `json:"claimName"`
			} `json:"persistentVolumeClaim"`
			Ephemeral *struct{} `json:"ephemeral"`
		} `json:"volumes"`
	} `json:"spec"`
}

// nodesArgument is a v1.NodeList. Its items go back as they came.
type nodesArgument struct {
	Items []jsontext.Value `json:"items"`
}

// request is what was asked about: a pod, and nodes by their names.
type request struct {
	pod   Pod
	nodes []string
	items []jsontext.Value // the nodes themselves, if kube-scheduler sent them; else nil
}

// errRequest says that a request makes no sense. It is kube-scheduler's configuration, or somebody else who asks.
var errRequest = errors.New("not what kube-scheduler asks (extender/v1, ExtenderArgs)")

// parseRequest reads a body, and keeps nothing of it. Errors: errRequest.
func parseRequest(body []byte) (request, error) {
	var args arguments
	if err := json.Unmarshal(body, &args); err != nil {
		return request{}, fmt.Errorf("%w: %w", errRequest, err)
	}
	if args.Pod == nil {
		return request{}, fmt.Errorf("%w: Pod is missing", errRequest)
	}
	r := request{pod: args.Pod.pod()}
	switch m := args.Pod.Metadata; {
	case m.Name == "" || m.Namespace == "" || m.UID == "":
		return request{}, fmt.Errorf("%w: Pod needs a name, a namespace and a UID", errRequest)
	case args.NodeNames != nil:
		r.nodes = *args.NodeNames
	case args.Nodes != nil:
		return r, r.take(args.Nodes.Items)
	default:
		return request{}, fmt.Errorf("%w: neither NodeNames nor Nodes are there", errRequest)
	}
	return r, nil
}

// take learns the names of whole nodes.
func (r *request) take(items []jsontext.Value) error {
	r.items = append([]jsontext.Value{}, items...)
	for i, item := range items {
		var node struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(item, &node); err != nil {
			return fmt.Errorf("%w: Nodes.items[%d]: %w", errRequest, i, err)
		}
		r.nodes = append(r.nodes, node.Metadata.Name)
	}
	return nil
}

// pod names the pod's claims, those of its ephemeral volumes among them (Kubernetes, "Generic ephemeral volumes").
func (p *podArgument) pod() Pod {
	m := p.Metadata
	pod := Pod{UID: m.UID, Name: m.Namespace + "/" + m.Name}
	for _, v := range p.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			pod.Claims = append(pod.Claims, m.Namespace+"/"+v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil:
			pod.Claims = append(pod.Claims, pod.Name+"-"+v.Name)
		}
	}
	return pod
}

// filterResult is extender/v1, ExtenderFilterResult. What does not fit is not resolved by preemption: claims stay when pods go.
type filterResult struct {
	Nodes                      *nodesArgument    `json:",omitzero"`
	NodeNames                  *[]string         `json:",omitzero"`
	FailedAndUnresolvableNodes map[string]string `json:",omitempty"`
	Error                      string            `json:",omitempty"`
}

// hostPriority is extender/v1, HostPriority.
type hostPriority struct {
	Host  string
	Score int64
}

const (
	maxReason  = 300       // bytes
	maxReasons = 256 << 10 // bytes of all reasons in one answer; kube-scheduler asks of some hundred nodes at most
)

// result says an answer to a request.
func (r request) result(a Answer) filterResult {
	var f filterResult
	if r.items != nil {
		f.Nodes = &nodesArgument{Items: make([]jsontext.Value, 0, len(a.Fits))}
		for _, at := range a.Fits {
			f.Nodes.Items = append(f.Nodes.Items, r.items[at])
		}
	} else {
		names := make([]string, 0, len(a.Fits))
		for _, at := range a.Fits {
			names = append(names, r.nodes[at])
		}
		f.NodeNames = &names
	}
	f.FailedAndUnresolvableNodes = make(map[string]string, len(a.Refused))
	said := 0
	for _, refused := range a.Refused {
		text := a.Reasons[refused.Reason]
		text = text[:min(maxReason, len(text))]
		if said += len(text) + len(r.nodes[refused.Node]); said > maxReasons {
			break
		}
		f.FailedAndUnresolvableNodes[r.nodes[refused.Node]] = text
	}
	return f
}
