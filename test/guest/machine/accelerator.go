package machine

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// accelerator says how QEMU runs the guest's instructions.
type accelerator struct{ name, cpu string }

var (
	kvm      = accelerator{"kvm", "host"}
	emulator = accelerator{"tcg,thread=multi,tb-size=512", "max"}
)

// kvmProbeTime bounds the boot that shows whether KVM works; one that does takes about two seconds.
const kvmProbeTime = 20 * time.Second

// accelerator chooses KVM if it boots this kernel. That /dev/kvm exists is not enough: nested in some hypervisors it
// stops, or crawls. The answer holds for one host kernel and one guest kernel, and is kept in the cache.
func (o *Options) accelerator(ctx context.Context, kernel kernelImage) (accelerator, error) {
	if unix.Access("/dev/kvm", unix.R_OK|unix.W_OK) != nil {
		return emulator, nil
	}
	var host unix.Utsname
	if err := unix.Uname(&host); err != nil {
		return emulator, err
	}
	unlock, err := o.lock(ctx, "kvm")
	if err != nil {
		return emulator, err
	}
	defer unlock()
	cache, err := o.cache()
	if err != nil {
		return emulator, err
	}
	file := filepath.Join(cache, fmt.Sprintf("kvm-%s-%s", unix.ByteSliceToString(host.Release[:]), kernel.release))
	if known, err := os.ReadFile(file); err == nil {
		return choose(strings.TrimSpace(string(known)) == "works"), nil
	}
	o.say("trying whether KVM works here")
	works := o.probeKVM(ctx, kernel)
	if ctx.Err() != nil {
		return emulator, ctx.Err()
	}
	answer := "works"
	if !works {
		answer = "does not work"
	}
	o.say("KVM %s here", answer)
	return choose(works), os.WriteFile(file, []byte(answer+"\n"), 0o644)
}

func choose(kvmWorks bool) accelerator {
	if kvmWorks {
		return kvm
	}
	return emulator
}

// probeKVM boots a guest that does nothing.
func (o *Options) probeKVM(ctx context.Context, kernel kernelImage) bool {
	ctx, cancel := context.WithTimeout(ctx, kvmProbeTime)
	defer cancel()
	probe := Options{Kernel: QEMU, Memory: 512 << 20, Args: []string{"true"}, Dir: "/", Init: o.Init, Stdout: io.Discard, Stderr: io.Discard}
	status, err := bootQEMU(ctx, probe, kernel, kvm)
	if o.Verbose && err != nil {
		o.say("KVM: %v", err)
	}
	return err == nil && status == 0
}
