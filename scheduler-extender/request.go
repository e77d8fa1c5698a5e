package extender

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// podArgument is of a pod what is looked at. kube-scheduler's types are not used: most of the time of an answer would go into
// what is not.
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

// request is what was asked about: a pod, and nodes by their names, which stand in the body.
type request struct {
	pod   Pod
	nodes [][]byte
	items []jsontext.Value // the nodes themselves, if kube-scheduler sent them; else nil
}

// errRequest says that a request makes no sense. It is kube-scheduler's configuration, or somebody else who asks.
var errRequest = errors.New("not what kube-scheduler asks (extender/v1, ExtenderArgs)")

// parseRequest reads a body, which the request stands on; into is where names may be put. Errors: errRequest.
func parseRequest(body []byte, into [][]byte) (request, error) {
	r, err := readRequest(body, into)
	if err != nil {
		return request{}, fmt.Errorf("%w: %w", errRequest, err)
	}
	return r, nil
}

func readRequest(body []byte, into [][]byte) (r request, err error) {
	args, err := (&reader{text: body}).arguments(into)
	if err != nil {
		return r, err
	}
	if args.pod == nil {
		return r, errors.New("Pod is missing")
	}
	var pod podArgument
	if err := json.Unmarshal(args.pod, &pod); err != nil {
		return r, fmt.Errorf("Pod: %w", err)
	}
	switch m := pod.Metadata; {
	case m.Name == "" || m.Namespace == "" || m.UID == "":
		return r, errors.New("Pod needs a name, a namespace and a UID")
	case args.named && args.nodes != nil && !args.nodes.IsValid():
		return r, errors.New("Nodes are no JSON")
	case args.named:
		return request{pod: pod.pod(), nodes: args.names}, nil
	case args.nodes == nil:
		return r, errors.New("neither NodeNames nor Nodes are there")
	}
	r.pod = pod.pod()
	return r, r.take(args.nodes)
}

// take learns the names of whole nodes.
func (r *request) take(nodes jsontext.Value) error {
	var list nodesArgument
	if err := json.Unmarshal(nodes, &list); err != nil {
		return fmt.Errorf("Nodes: %w", err)
	}
	r.items = append([]jsontext.Value{}, list.Items...)
	for i, item := range r.items {
		var node struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(item, &node); err != nil {
			return fmt.Errorf("Nodes.items[%d]: %w", i, err)
		}
		r.nodes = append(r.nodes, []byte(node.Metadata.Name))
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
