package node

import (
	"maps"
	"slices"
	"testing"
	"time"
)

func TestTroubleIsToldWhenItIsNewAndNowAndThen(t *testing.T) {
	config, pool := trouble{"LoamConfigurationNotUsed", "a"}, trouble{"LoamPoolNotReady", "b"}
	at := func(minutes int) time.Time { return time.Unix(0, 0).Add(time.Duration(minutes) * time.Minute) }
	cases := map[string]struct {
		now  []trouble
		told map[trouble]time.Time
		tell []trouble
		next map[trouble]time.Time
	}{
		"nothing":        {nil, nil, nil, map[trouble]time.Time{}},
		"new":            {[]trouble{config}, nil, []trouble{config}, map[trouble]time.Time{config: at(60)}},
		"told":           {[]trouble{config}, map[trouble]time.Time{config: at(31)}, nil, map[trouble]time.Time{config: at(31)}},
		"one more":       {[]trouble{config, pool}, map[trouble]time.Time{config: at(31)}, []trouble{pool}, map[trouble]time.Time{config: at(31), pool: at(60)}},
		"told long ago":  {[]trouble{config}, map[trouble]time.Time{config: at(30)}, []trouble{config}, map[trouble]time.Time{config: at(60)}},
		"over":           {nil, map[trouble]time.Time{config: at(59)}, nil, map[trouble]time.Time{}},
		"another reason": {[]trouble{{"LoamPoolNotReady", "c"}}, map[trouble]time.Time{pool: at(59)}, []trouble{{"LoamPoolNotReady", "c"}}, map[trouble]time.Time{{"LoamPoolNotReady", "c"}: at(60)}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tell, next := toTell(c.now, c.told, at(60))
			if !slices.Equal(tell, c.tell) || !maps.Equal(next, c.next) {
				t.Errorf("got %v, %v; want %v, %v", tell, next, c.tell, c.next)
			}
		})
	}
}
