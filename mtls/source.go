package mtls

import (
	"errors"
	"sync/atomic"
)

// Source has the set to use now. It is asked at every handshake, by many at once. An error fails the handshake: there is no
// set, and never was one.
type Source interface {
	Material() (*Material, error)
}

// Memory is a Source of what it was given last. Its zero value has nothing yet.
type Memory struct {
	material atomic.Pointer[Material]
}

// ErrNone is Memory's error before the first Set.
var ErrNone = errors.New("no certificate yet")

// Set gives it what to use from now on.
func (m *Memory) Set(to *Material) { m.material.Store(to) }

// Material is what Set gave last; ErrNone before.
func (m *Memory) Material() (*Material, error) {
	if material := m.material.Load(); material != nil {
		return material, nil
	}
	return nil, ErrNone
}
