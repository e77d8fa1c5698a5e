package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestATerminalIsTheCommands does what a person at a shell does: type, press Ctrl-C, resize the window.
func TestATerminalIsTheCommands(t *testing.T) {
	person, terminal := openTerminal(t)
	resize(t, person, 33, 101)
	before := modes(t, terminal)
	const script = `trap 'echo size $(stty size)' WINCH; trap 'echo caught; exit 4' INT
echo up $(stty size) $(tty); read line; echo "typed $line"; while :; do sleep 0.1; done`
	command := exec.Command(program, "--", "sh", "-c", script)
	command.Stdin, command.Stdout, command.Stderr = terminal, terminal, terminal
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })

	screen := bufio.NewReader(person)
	expectLine(t, screen, "up 33 101 /dev/pts/0")
	fmt.Fprint(person, "abd\x7fc\r") // the guest's terminal edits the line: Backspace takes the d away
	expectLine(t, screen, "typed abc")
	resize(t, person, 44, 90)
	expectLine(t, screen, "size 44 90")
	fmt.Fprint(person, "\x03")
	expectLine(t, screen, "caught")
	if err := command.Wait(); command.ProcessState.ExitCode() != 4 {
		t.Errorf("ended with %v, want the command's exit status 4", err)
	}
	if after := modes(t, terminal); after != before {
		t.Errorf("the terminal is not as it was: %+v, before %+v", after, before)
	}
}

// expectLine skips lines, such as the echo of what was typed, up to the wanted one.
func expectLine(t *testing.T, screen *bufio.Reader, want string) {
	t.Helper()
	for {
		line, err := screen.ReadString('\n')
		if err != nil {
			t.Fatalf("no line %q on the screen: %v", want, err)
		}
		if strings.HasSuffix(strings.TrimRight(line, "\r\n"), want) {
			return
		}
	}
}

// openTerminal makes a pseudo-terminal: pty(7).
func openTerminal(t *testing.T) (person, terminal *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = person.Close()
		_ = terminal.Close()
	})
	return person, terminal
}

func resize(t *testing.T, person *os.File, rows, columns uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(person.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.Fatal(err)
	}
}

func modes(t *testing.T, terminal *os.File) unix.Termios {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *state
}
