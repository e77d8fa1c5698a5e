package pool

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurnsAreTakenInOrderHoweverLongAllTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(nil, slog.New(slog.DiscardHandler))
		var order []int
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				unlock, err := p.Lock(t.Context(), "vg")
				if err != nil {
					t.Errorf("the wait of number %d: %v", i, err)
					return
				}
				defer unlock()
				order = append(order, i)
				time.Sleep(lockWait / 10)
			})
			synctest.Wait() // so that they ask in this order
		}
		all.Wait()
		if len(order) != 100 || !slices.IsSorted(order) {
			t.Errorf("the turns were %v", order)
		}
	})
}

func TestTurnThatDoesNotEndIsNotWaitedForForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(nil, slog.New(slog.DiscardHandler))
		unlock, err := p.Lock(t.Context(), "vg")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := p.Lock(t.Context(), "vg"); !errors.Is(err, ErrBusy) {
			t.Errorf("after %v: %v, want ErrBusy", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Lock(ctx, "vg"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a wait with a deadline: %v", err)
		}
		other, err := p.Lock(t.Context(), "another vg")
		if err != nil {
			t.Fatal(err)
		}
		other()
		unlock()
		if again, err := p.Lock(t.Context(), "vg"); err != nil {
			t.Errorf("once it ended after all: %v", err)
		} else {
			again()
		}
	})
}
