package controller

import (
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/node/volume"
)

// position is where a list goes on: at a node, and there where the agent's own token says, "" for its beginning. Nodes are in
// the order of their names, so that one that comes or goes between pages neither repeats nor hides another's volumes.
type position struct {
	node  string
	token string
}

// maxToken bounds a token, in bytes: an agent's is an ID.
const maxToken = 1024

// String is the token that the caller gets, "" for the beginning of all.
func (p position) String() string {
	if p.node == "" {
		return ""
	}
	return p.node + ":" + p.token
}

// parsePosition reads a token; one that is not of this form is ABORTED (CSI spec, "ListVolumes Errors"). The agent judges its
// own part.
func parsePosition(token string) (position, error) {
	if token == "" {
		return position{}, nil
	}
	node, rest, ok := strings.Cut(token, ":")
	if !ok || len(token) > maxToken || volume.CheckNode(node) != nil {
		return position{}, refuse(codes.Aborted, "starting_token: not a token of this list; start again without one")
	}
	return position{node, rest}, nil
}
