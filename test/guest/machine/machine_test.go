package machine

import (
	"context"
	"strings"
	"testing"
)

func TestTapIsForUserModeLinuxAlone(t *testing.T) {
	for _, kernel := range []Kernel{QEMU, Host} {
		_, err := Run(context.Background(), Options{Kernel: kernel, Tap: "tap1", Args: []string{"true"}})
		if err == nil || !strings.Contains(err.Error(), "tap") {
			t.Errorf("kernel %s with a tap: %v; it should be refused", kernel, err)
		}
	}
}
