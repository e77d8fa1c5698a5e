package inside

import (
	"encoding/json"
	"io"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/test/guest/wire"
)

// input carries what the host sends while the command runs. Both its goroutines live as long as the guest.
type input struct {
	command int // process ID
	streams *streams
	credit  *wire.Sender

	mu      sync.Mutex // guards what follows
	pending []byte     // at most wire.StdinWindow, as the host waits for credit
	ended   bool
	changed *sync.Cond
}

// serve starts passing stdin, signals and window sizes to the command.
func (in *input) serve(line io.Reader) {
	in.changed = sync.NewCond(&in.mu)
	go in.receive(line)
	go in.feed()
}

// receive takes frames and never blocks on the command.
func (in *input) receive(line io.Reader) {
	for {
		kind, payload, err := wire.Read(line)
		if err != nil {
			in.queue(nil)
			return
		}
		switch kind {
		case wire.Stdin:
			in.queue(payload)
		case wire.Signal:
			if number, err := wire.ParseCount(payload); err == nil {
				_ = unix.Kill(in.command, syscall.Signal(number))
			}
		case wire.Resize:
			var size wire.Size
			if json.Unmarshal(payload, &size) == nil {
				_ = in.streams.resize(size)
			}
		}
	}
}

func (in *input) queue(data []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.pending = append(in.pending, data...)
	in.ended = in.ended || len(data) == 0
	in.changed.Signal()
}

// feed writes to the command's stdin and grants the host as many bytes more. A command that closed its stdin still
// gets its bytes granted, so that the host reads on to their end.
func (in *input) feed() {
	for {
		data := in.take()
		if data == nil {
			in.streams.closeInput()
			return
		}
		_, _ = in.streams.input.Write(data)
		if in.credit.Count(wire.Credit, int64(len(data))) != nil {
			return
		}
	}
}

// take waits for bytes; nil is the end of them.
func (in *input) take() []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.pending) == 0 && !in.ended {
		in.changed.Wait()
	}
	data := in.pending
	in.pending = nil
	return data
}
