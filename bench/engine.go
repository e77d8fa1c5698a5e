package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// What Choose takes.
const (
	Auto      = "auto"         // fio where there is one that will do, else the built-in engine
	WithFio   = "fio"          // Fio with libaio, as figures of different machines and of containers compare
	WithUring = "fio-io_uring" // Fio with io_uring, where that is allowed
	BuiltIn   = "built-in"     // Direct
)

// Engines are the names that Choose takes.
func Engines() []string { return []string{Auto, WithFio, WithUring, BuiltIn} }

// Choose finds an engine by its name. The note tells people what they might not expect of the choice; it is "" when there is nothing.
// Errors: ErrNoFio, the context's.
func Choose(ctx context.Context, name string) (e Engine, note string, err error) {
	switch name {
	case BuiltIn:
		return Direct{}, "", nil
	case WithFio:
		e, err = FindFio(ctx, libaio)
		return e, "", err
	case WithUring:
		e, err = FindFio(ctx, ioUring)
		return e, "", err
	case Auto:
		e, err = FindFio(ctx, libaio)
		if errors.Is(err, ErrNoFio) {
			return Direct{}, fmt.Sprintf("the built-in engine measures, as %v", err), nil
		}
		return e, "", err
	}
	return nil, "", fmt.Errorf("unknown engine %q: expected %s", name, strings.Join(Engines(), ", "))
}
