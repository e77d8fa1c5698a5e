package wire

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"sync"
)

// Sender sends frames whole, whichever goroutines send them.
type Sender struct {
	mu   sync.Mutex // guards writes to line
	line io.Writer
}

// NewSender sends on line.
func NewSender(line io.Writer) *Sender { return &Sender{line: line} }

// Send sends one frame.
func (s *Sender) Send(kind Kind, payload []byte) error {
	frame := make([]byte, 5, 5+len(payload))
	frame[0] = byte(kind)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(payload)))
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.line.Write(append(frame, payload...))
	return err
}

// Count sends a frame that carries one number.
func (s *Sender) Count(kind Kind, n int64) error {
	return s.Send(kind, binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// JSON sends a frame that carries a Command or a Size.
func (s *Sender) JSON(kind Kind, value any) error {
	payload, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return s.Send(kind, payload)
}

// Stream sends what is written to it as frames of one kind.
func (s *Sender) Stream(kind Kind) io.Writer { return stream{s, kind} }

type stream struct {
	sender *Sender
	kind   Kind
}

func (s stream) Write(data []byte) (int, error) {
	if err := s.sender.Send(s.kind, data); err != nil {
		return 0, err
	}
	return len(data), nil
}
