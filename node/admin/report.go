package admin

import "context"

// Report is all that an agent knows. What it could not tell is null in JSON, and nil: an empty list means that there is nothing.
type Report struct {
	Info    Info     `json:"info"`
	Disks   []Disk   `json:"disks"`
	Pools   []Pool   `json:"pools"`
	Volumes []Volume `json:"volumes"`
	// Problems say why a part is missing, a sentence each.
	Problems []string `json:"problems"`
}

// Report asks for everything. An agent that starts, or whose LVM fails, tells the rest. Errors: as Info's.
func (c *Client) Report(ctx context.Context) (r Report, err error) {
	if r.Info, err = c.Info(ctx); err != nil {
		return Report{}, err
	}
	r.Problems = []string{}
	note := func(what string, err error) {
		if err != nil {
			r.Problems = append(r.Problems, what+" are not known: "+err.Error())
		}
	}
	r.Disks, err = c.Disks(ctx)
	note("disks", err)
	r.Pools, err = c.Pools(ctx)
	note("pools", err)
	r.Volumes, err = c.Volumes(ctx)
	note("volumes", err)
	return r, nil
}
