package lvm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// settle brings thin pools to where their metadata say they are. A change of a pool's volumes is written to the metadata first,
// with the messages that the pool is to get and the number of its transaction after them; then they are sent; then they are
// taken out of the metadata (lvm2: lib/metadata/thin_manip.c). A command that is killed in between leaves a pool whose number is one
// lower. Then the messages are sent here, for what they are about was never given to anybody.
func (h *healing) settle() error {
	for _, lv := range h.group.LVs {
		if !lv.Pending {
			continue
		}
		if err := h.settlePool(lv); err != nil {
			return fmt.Errorf("%s/%s: %w", h.vg, lv.Name, err)
		}
		h.note(lv.Name, "transaction finished that was interrupted")
	}
	return nil
}

func (h *healing) settlePool(lv LogicalVolume) error {
	pool := which{uuid: deviceUUID(h.group, lv) + "-tpool"}
	m, err := h.kernel.status(pool)
	if err != nil || len(m.targets) != 1 {
		return errors.Join(err, ErrUnclear)
	}
	status, err := parsePoolStatus(m.targets[0].status)
	if err != nil {
		return err
	}
	messages, err := parseMessages(h.text, lv.Name)
	if err != nil {
		return err
	}
	if status.transaction+1 != lv.TransactionID || len(messages) == 0 {
		return fmt.Errorf("the pool is at transaction %d and its metadata at %d, with %d messages for it: %w",
			status.transaction, lv.TransactionID, len(messages), ErrUnclear)
	}
	for _, one := range messages {
		if err := h.send(pool, one); err != nil {
			return err
		}
	}
	return h.kernel.message(pool, fmt.Sprintf("set_transaction_id %d %d", status.transaction, lv.TransactionID))
}

// send sends one message, of which nobody knows whether the pool has had it.
func (h *healing) send(pool which, one poolMessage) error {
	gone := func(err error) error {
		if errors.Is(err, unix.ENODATA) {
			return nil
		}
		return err
	}
	remove := fmt.Sprintf("delete %d", one.id)
	if one.create == "" {
		return gone(h.kernel.message(pool, remove))
	}
	if err := h.release(one.create); err != nil {
		return err
	}
	// What has that number already is what the interrupted command made of it, or is left of a volume that LVM has forgotten.
	if err := gone(h.kernel.message(pool, remove)); err != nil {
		return err
	}
	if one.origin == "" {
		return h.kernel.message(pool, fmt.Sprintf("create_thin %d", one.id))
	}
	take := func() error { return h.kernel.message(pool, fmt.Sprintf("create_snap %d %d", one.id, one.originID)) }
	origin, _ := h.group.LV(one.origin)
	if !origin.Active {
		return take()
	}
	device := which{uuid: deviceUUID(h.group, origin)}
	if !origin.Suspended {
		if err := h.kernel.freeze(device); err != nil {
			return err
		}
	}
	return errors.Join(take(), h.kernel.resume(device))
}

// release deactivates a volume that was never finished: after a power cut in its making all volumes may have been activated.
func (h *healing) release(name string) error {
	lv, ok := h.group.LV(name)
	switch {
	case !ok || !lv.Active:
		return nil
	case lv.Open:
		return fmt.Errorf("%s was not finished and is in use: %w", name, ErrUnclear)
	}
	h.note(name, "deactivated, and made anew: it was not finished")
	return h.kernel.remove(which{uuid: deviceUUID(h.group, lv)})
}

// poolMessage is what a thin pool is to be told: to make a thin volume or snapshot, or to delete one.
type poolMessage struct {
	create   string // the volume's name; "" to delete
	id       int64  // the volume's number in the pool
	origin   string // of a snapshot
	originID int64
}

// parseMessages reads from a group's metadata what is to be told to a thin pool.
func parseMessages(text []byte, pool string) ([]poolMessage, error) {
	root, err := parseText(text)
	if err != nil {
		return nil, err
	}
	f := fields{}
	volumes := f.section(root.sections[root.order[0]], "logical_volumes")
	segment := func(lv string) *section { return f.section(f.section(volumes, lv), "segment1") }
	number := func(lv string) int64 {
		if _, ok := segment(lv).values["device_id"]; !ok {
			f.fail(lv, "a thin volume")
		}
		return f.number(segment(lv), "device_id")
	}
	var all []poolMessage
	for _, name := range segment(pool).order {
		s := segment(pool).sections[name]
		one := poolMessage{create: f.text(s, "create"), id: f.number(s, "delete")}
		_, deletes := s.values["delete"]
		switch {
		case one.create != "" && !deletes:
			one.id, one.origin = number(one.create), f.text(segment(one.create), "origin")
			if one.origin != "" {
				one.originID = number(one.origin)
			}
		case one.create != "" || !deletes:
			f.fail(name, "create or delete")
		}
		all = append(all, one)
	}
	return all, f.err
}
