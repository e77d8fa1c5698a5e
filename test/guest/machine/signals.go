package machine

import (
	"os"
	"os/signal"
	"syscall"
)

// watchSize tells when the terminal's size changes, if there is one.
func (c *conversation) watchSize() (resized chan os.Signal, stop func()) {
	resized = make(chan os.Signal, 1)
	if c.options.Terminal == nil {
		return resized, func() {}
	}
	signal.Notify(resized, syscall.SIGWINCH)
	return resized, func() { signal.Stop(resized) }
}

func signalNumber(s os.Signal) (int64, bool) {
	number, ok := s.(syscall.Signal)
	return int64(number), ok
}
