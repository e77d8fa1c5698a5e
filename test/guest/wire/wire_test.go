package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"testing"
)

func TestFramesArriveAsTheyWereSent(t *testing.T) {
	var line bytes.Buffer
	sender := NewSender(&line)
	order := Command{Args: []string{"sh", "-c", "a\nb"}, Env: []string{"A=\x00ü"}, Terminal: &Size{24, 80}}
	if err := errors.Join(
		sender.Send(Ready, nil), sender.JSON(Start, order), sender.Count(Exit, 137),
	); err != nil {
		t.Fatal(err)
	}
	if n, err := sender.Stream(Stdout).Write([]byte{0, 255, '\n'}); n != 3 || err != nil {
		t.Fatalf("Stream wrote %d bytes of 3: %v", n, err)
	}
	kind, payload := read(t, &line)
	if kind != Ready || len(payload) != 0 {
		t.Errorf("first frame: %d %q; want Ready without a payload", kind, payload)
	}
	kind, payload = read(t, &line)
	var got Command
	if err := json.Unmarshal(payload, &got); kind != Start || err != nil || !reflect.DeepEqual(got, order) {
		t.Errorf("second frame: %d %+v, %v; want Start %+v", kind, got, err, order)
	}
	kind, payload = read(t, &line)
	if n, err := ParseCount(payload); kind != Exit || n != 137 || err != nil {
		t.Errorf("third frame: %d %d, %v; want Exit 137", kind, n, err)
	}
	if kind, payload = read(t, &line); kind != Stdout || string(payload) != "\x00\xff\n" {
		t.Errorf("fourth frame: %d %q; want Stdout as written", kind, payload)
	}
	if _, _, err := Read(&line); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame: %v; want io.EOF", err)
	}
}

func read(t *testing.T, line io.Reader) (Kind, []byte) {
	t.Helper()
	kind, payload, err := Read(line)
	if err != nil {
		t.Fatal(err)
	}
	return kind, payload
}

func TestReadRefusesWhatIsNoFrame(t *testing.T) {
	for name, bytesOnLine := range map[string]string{
		"kind 0":       "\x00\x00\x00\x00\x00",
		"unknown kind": "\x7f\x00\x00\x00\x00",
		"huge":         "\x08\xff\xff\xff\xff",
		"cut short":    "\x08\x00\x00\x00\x09abc",
		"half a head":  "\x08\x00",
	} {
		if kind, payload, err := Read(bytes.NewReader([]byte(bytesOnLine))); err == nil {
			t.Errorf("%s: read frame %d %q", name, kind, payload)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00"))
	f.Add([]byte("\x08\x00\x00\x00\x03abc\x0a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, payload, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := NewSender(&again).Send(kind, payload); err != nil || !bytes.HasPrefix(data, again.Bytes()) {
			t.Errorf("%q read as %d %q, which is written as %q: %v", data, kind, payload, again.Bytes(), err)
		}
	})
}
