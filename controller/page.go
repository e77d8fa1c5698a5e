package controller

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
)

// maxPage is the most entries of one answer, whatever the caller takes: gRPC's clients refuse messages above 4 MiB, and an
// entry has about 400 bytes.
const maxPage = 4096

// page is a part of a list. next is where the rest begins; "" for none.
type page[Entry any] struct {
	entries []Entry
	next    string
}

// fetch asks a node's agent for at most that many entries from its token on.
type fetch[Entry any] func(ctx context.Context, node, token string, most int32) (page[Entry], error)

// list collects a page from the agents of those nodes, which are in order. An agent that is away fails the call: a list
// without its volumes would say that they do not exist. A node that has left the cluster has none.
func list[Entry any](ctx context.Context, nodes []string, req interface {
	GetStartingToken() string
	GetMaxEntries() int32
}, get fetch[Entry]) (page[Entry], error) {
	from, err := parsePosition(req.GetStartingToken())
	if err != nil {
		return page[Entry]{}, err
	}
	if req.GetMaxEntries() < 0 {
		return page[Entry]{}, refuse(codes.InvalidArgument, "max_entries: must not be negative, is %d", req.GetMaxEntries())
	}
	most := maxPage
	if asked := int(req.GetMaxEntries()); asked > 0 {
		most = min(most, asked)
	}
	var all page[Entry]
	todo := remaining(nodes, from)
	for len(todo) > 0 {
		batch := todo[:min(parallel, len(todo), most-len(all.entries))] // each may have one at least
		pages, err := fetchAll(ctx, batch, int32(most-len(all.entries)), get)
		if err != nil {
			return page[Entry]{}, err
		}
		merged, rest := merge(batch, pages, most-len(all.entries))
		all.entries = append(all.entries, merged...)
		todo = slices.Concat(rest, todo[len(batch):])
		if len(rest) > 0 || len(all.entries) == most {
			break
		}
	}
	if len(todo) > 0 {
		all.next = todo[0].String()
	}
	return all, nil
}

// remaining are the places at which the nodes are to be asked, from a position on.
func remaining(nodes []string, from position) []position {
	var todo []position
	for _, node := range nodes {
		switch {
		case node == from.node:
			todo = append(todo, from)
		case node > from.node:
			todo = append(todo, position{node: node})
		}
	}
	return todo
}

func fetchAll[Entry any](ctx context.Context, places []position, most int32, get fetch[Entry]) ([]page[Entry], error) {
	pages := make([]page[Entry], len(places))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, at := range places {
		group.Go(func() error {
			got, err := get(ctx, at.node, at.token, most)
			if _, gone := errors.AsType[goneError](err); gone {
				return nil
			}
			pages[i] = got
			return err
		})
	}
	return pages, group.Wait()
}

// merge takes what there is room for, in the order of the places that it was fetched from, and says where to go on. It takes
// whole pages, as an agent's token names the end of a page and no place in it; the first always fits, as no more was asked for.
func merge[Entry any](places []position, pages []page[Entry], room int) (taken []Entry, rest []position) {
	for i, p := range pages {
		if len(taken)+len(p.entries) > room {
			return taken, places[i:]
		}
		taken = append(taken, p.entries...)
		if p.next != "" {
			return taken, append([]position{{places[i].node, p.next}}, places[i+1:]...)
		}
	}
	return taken, nil
}
