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

// maxNodes bounds what a request makes of memory: ten times what Kubernetes supports.
const maxNodes = 50_000

var errNodes = fmt.Errorf("more than %d nodes", maxNodes)

// request is what was asked about: a pod, and nodes by their names, which stand in the body.
type request struct {
	pod   Pod
	nodes [][]byte
	items []jsontext.Value // the nodes themselves, if kube-scheduler sent them; they go back as they came
	whole bool             // it did
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
	args, err := readArguments(body, into)
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
	case args.named && args.nodes != nil:
		return r, errors.New("NodeNames and Nodes are both there")
	case args.named:
		return request{pod: pod.pod(), nodes: args.names}, nil
	case args.nodes == nil:
		return r, errors.New("neither NodeNames nor Nodes are there")
	}
	r = request{pod: pod.pod(), whole: true}
	if err := r.take(args.nodes); err != nil {
		return r, fmt.Errorf("in Nodes: %w", err)
	}
	return r, nil
}

// arguments are what kube-scheduler sends (extender/v1, ExtenderArgs), as they stand in a body. What is null is nil.
type arguments struct {
	pod, nodes jsontext.Value // not looked at
	names      [][]byte       // of NodeNames
	named      bool           // NodeNames are there
}

func readArguments(body []byte, into [][]byte) (arguments, error) {
	args, r := arguments{names: into[:0]}, &reader{text: body}
	err := r.object(func(name string) (err error) {
		switch {
		case name == "NodeNames" && r.next() == '[':
			args.named = true
			args.names, err = r.names(args.names)
		case name == "Pod" && r.next() != 'n':
			args.pod, err = r.skip()
		case name == "Nodes" && r.next() != 'n':
			args.nodes, err = r.skip()
		case name == "NodeNames" && r.next() != 'n':
			err = errors.New("NodeNames is no list")
		default:
			err = r.other(name)
		}
		return err
	})
	return args, err
}

// names reads a list of them.
func (r *reader) names(into [][]byte) ([][]byte, error) {
	err := r.list('[', ']', func() error {
		name, err := r.string()
		if into = append(into, name); len(into) > maxNodes {
			return errNodes
		}
		return err
	})
	return into, err
}

// take finds whole nodes in a v1.NodeList, and learns their names.
func (r *request) take(nodes jsontext.Value) error {
	list := &reader{text: nodes}
	return list.object(func(name string) error {
		if name != "items" || list.next() == 'n' {
			return list.other(name)
		}
		return list.list('[', ']', func() error { return r.takeOne(list) })
	})
}

func (r *request) takeOne(list *reader) error {
	item, err := list.skip()
	if err != nil {
		return err
	}
	var node struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(item, &node); err != nil {
		return fmt.Errorf("items[%d]: %w", len(r.items), err)
	}
	r.items, r.nodes = append(r.items, item), append(r.nodes, []byte(node.Metadata.Name))
	if len(r.items) > maxNodes {
		return errNodes
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
