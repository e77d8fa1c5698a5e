package browser

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// chromium is a headless browser that is asked by the DevTools protocol (chromedevtools.github.io/devtools-protocol) on two pipes.
type chromium struct {
	t       *testing.T
	in      *os.File
	out     *bufio.Reader
	session string
	id      int
	events  []event // that came while answers were waited for
}

type event struct {
	ID      int             `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   json.RawMessage `json:"error"`
	Session string          `json:"sessionId"`
}

// required makes a missing browser an error, as it does other missing things (lvmtest.RequiredEnv).
const required = "LOAM_REQUIRED"

// start starts one with an empty profile and a blank page.
func start(t *testing.T) *chromium {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv(required) != "" {
			t.Fatal("needs Debian's package chromium: test/setup.sh tests")
		}
		t.Skip("needs Debian's package chromium: test/setup.sh tests")
	}
	childIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// As root it has no sandbox. What it shows is our own page, and it has no network to reach.
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--disable-background-networking", "--disable-component-update", "--no-first-run", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{childIn, childOut} // 3 and 4
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	childIn.Close()
	childOut.Close()
	c := &chromium{t: t, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		in.Close() // it ends then
		patience := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		patience.Stop()
		// Its other processes write to its folder, which is removed next, until the last one is gone.
		for deadline := time.Now().Add(10 * time.Second); syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) == nil && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		out.Close()
	})
	c.attach()
	return c
}

// attach makes a page and talks to it from then on.
func (c *chromium) attach() {
	var target struct{ TargetID string }
	c.ask("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	c.ask("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	c.session = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		c.ask(domain+".enable", nil, nil)
	}
}

// ask calls a method and waits for its answer.
func (c *chromium) ask(method string, params, result any) {
	c.t.Helper()
	c.id++
	message := map[string]any{"id": c.id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if c.session != "" {
		message["sessionId"] = c.session
	}
	text, err := json.Marshal(message)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.in.Write(append(text, 0)); err != nil {
		c.t.Fatalf("asking chromium for %s: %v", method, err)
	}
	for {
		e := c.read()
		if e.ID != c.id {
			c.events = append(c.events, e)
			continue
		}
		if e.Error != nil {
			c.t.Fatalf("chromium: %s: %s", method, e.Error)
		}
		if result != nil {
			if err := json.Unmarshal(e.Result, result); err != nil {
				c.t.Fatalf("chromium: %s: %v", method, err)
			}
		}
		return
	}
}

func (c *chromium) read() event {
	c.t.Helper()
	text, err := c.out.ReadBytes(0)
	if err != nil {
		c.t.Fatalf("chromium ended: %v", err)
	}
	var e event
	if err := json.Unmarshal(text[:len(text)-1], &e); err != nil {
		c.t.Fatal(err)
	}
	return e
}

// view is how a page is looked at.
type view struct {
	scheme        string // light or dark
	width, height int
	phone         bool
}

// open shows a file and waits until it is loaded.
func (c *chromium) open(path string, v view) {
	c.t.Helper()
	c.events = nil
	c.ask("Emulation.setDeviceMetricsOverride", map[string]any{"width": v.width, "height": v.height, "deviceScaleFactor": 1, "mobile": v.phone}, nil)
	c.ask("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": v.scheme}}}, nil)
	c.ask("Page.navigate", map[string]any{"url": "file://" + path}, nil)
	for _, e := range c.events {
		if e.Method == "Page.loadEventFired" {
			return
		}
	}
	for {
		e := c.read()
		c.events = append(c.events, e)
		if e.Method == "Page.loadEventFired" {
			return
		}
	}
}

// evaluate gives the value of an expression in the page.
func (c *chromium) evaluate(expression string, value any) {
	c.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	c.ask("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &answer)
	if answer.ExceptionDetails != nil {
		c.t.Fatalf("%s: %s", expression, answer.ExceptionDetails)
	}
	if err := json.Unmarshal(answer.Result.Value, value); err != nil {
		c.t.Fatalf("%s: %v", expression, err)
	}
}

// complaints are what the console says, and requests for anything but the page.
func (c *chromium) complaints(path string) []string {
	var all []string
	for _, e := range c.events {
		switch e.Method {
		case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded":
			all = append(all, fmt.Sprintf("%s: %s", e.Method, e.Params))
		case "Network.requestWillBeSent":
			var p struct{ Request struct{ URL string } }
			if err := json.Unmarshal(e.Params, &p); err != nil || p.Request.URL != "file://"+path {
				all = append(all, fmt.Sprintf("asks for %s", p.Request.URL))
			}
		}
	}
	return all
}

// picture is the whole page, or its first so many pixels, as PNG.
func (c *chromium) picture(width, height int) []byte {
	c.t.Helper()
	var answer struct{ Data string }
	c.ask("Page.captureScreenshot", map[string]any{
		"format": "png", "captureBeyondViewport": true,
		"clip": map[string]any{"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
	}, &answer)
	text, err := base64.StdEncoding.DecodeString(answer.Data)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}
