package bench

import (
	"context"
	"fmt"
	"strings"
)

// What Choose takes.
const (
	Auto    = "auto"     // fio where there is one that will do, else the built-in engine
	BuiltIn = "built-in" // Direct
)

// Engines are the names that Choose takes.
func Engines() []string { return []string{Auto, BuiltIn} }

// Choose finds an engine by its name. The note tells people what they might not expect of the choice; it is "" when there is nothing.
func Choose(_ context.Context, name string) (e Engine, note string, err error) {
	switch name {
	case Auto, BuiltIn:
		return Direct{}, "", nil
	}
	return nil, "", fmt.Errorf("unknown engine %q: expected %s", name, strings.Join(Engines(), ", "))
}
