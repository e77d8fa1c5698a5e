package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWriterFindsEveryWayInWhichItsBytesCanBeWrong(t *testing.T) {
	stopped := make(chan struct{})
	close(stopped)
	for what, spoil := range map[string]func(path string) error{
		"":                     func(string) error { return nil },
		"is not what":          func(path string) error { return writeAt(path, blockSize+7, 0xff) },
		"block 2 of 3":         func(path string) error { return os.Truncate(path, 2*blockSize+1) },
		"is longer than the 3": func(path string) error { return writeAt(path, 3*blockSize, 0) },
	} {
		w := &writer{path: filepath.Join(t.TempDir(), "log"), least: 3}
		if err := w.write(stopped); err != nil {
			t.Fatal(err)
		}
		if err := spoil(w.path); err != nil {
			t.Fatal(err)
		}
		if err := w.verify(); (err == nil) != (what == "") || err != nil && !strings.Contains(err.Error(), what) {
			t.Errorf("verify said %v; want an error with %q", err, what)
		}
	}
}

func writeAt(path string, offset int64, b byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt([]byte{b}, offset)
	return err
}

func TestFirstStepThatFailsEndsTheDemo(t *testing.T) {
	var out bytes.Buffer
	d := &demo{screen: &screen{out: &out}}
	wrong := errors.New("the disk is gone")
	ran := 0
	ends := func(err error) step {
		return step{title: "A step", do: func(context.Context) (string, error) { ran++; return "proof", err }}
	}
	err := d.play(context.Background(), []step{ends(nil), ends(wrong), ends(nil)})
	if !errors.Is(err, wrong) || ran != 2 || strings.Contains(out.String(), "All") {
		t.Errorf("%d steps ran, error %v, and the watcher saw:\n%s\nwant 2, that error and no success", ran, err, &out)
	}
}

func TestCommandIsShownWithWhatItPrints(t *testing.T) {
	var out bytes.Buffer
	d := &demo{screen: &screen{out: &out}, loam: "/nowhere/loam"}
	got, err := d.shell(context.Background(), "echo one; printf two")
	if want := "    $ echo one; printf two\n    one\n    two\n"; err != nil || got != "one\ntwo" || out.String() != want {
		t.Errorf("returned %q, %v and showed\n%s\nwant\n%s", got, err, &out, want)
	}
	if _, err := d.shell(context.Background(), "false; echo not reached"); err == nil {
		t.Error("a command that failed was taken for one that did not")
	}
}

func TestClockIsWipedBeforeOtherText(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out, terminal: true}
	s.tick("1 s so far")
	s.print("done %v", time.Second)
	if want := "1 s so far\r\x1b[Kdone 1s\n"; out.String() != want {
		t.Errorf("wrote %q, want %q", &out, want)
	}
}
