// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// chromium is a headless browser, driven over a pipe with the DevTools
// protocol: JSON messages with a NUL behind each.
type chromium struct {
	t       *testing.T
	in      *os.File
	session string

	mu      sync.Mutex
	last    int
	waiting map[int]chan message
	wrong   []string // what the page's console complains about
	asked   []string // addresses of all requests
}

type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// browse starts a browser with an empty page; it ends with the test.
func browse(t *testing.T) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium on this machine: integration/deps.sh installs it")
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless=new", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(),
		"--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
	cmd.ExtraFiles = []*os.File{inR, outW} // 3 and 4
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	inR.Close()
	outW.Close()
	c := &chromium{t: t, in: inW, waiting: map[int]chan message{}}
	var reading sync.WaitGroup
	reading.Go(func() { c.read(outR) })
	t.Cleanup(func() {
		inW.Close()
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		reading.Wait()
		outR.Close()
	})
	var target struct{ TargetID string }
	c.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	c.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	c.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		c.call(domain+".enable", nil, nil)
	}
	return c
}

func (c *chromium) read(from io.Reader) {
	r := bufio.NewReader(from)
	for {
		b, err := r.ReadBytes(0)
		if err != nil {
			c.mu.Lock()
			for _, w := range c.waiting {
				close(w)
			}
			c.waiting = nil
			c.mu.Unlock()
			return
		}
		var m message
		if json.Unmarshal(b[:len(b)-1], &m) != nil {
			continue
		}
		c.mu.Lock()
		if w := c.waiting[m.ID]; m.ID != 0 && w != nil {
			w <- m
			delete(c.waiting, m.ID)
		}
		switch m.Method {
		case "Runtime.exceptionThrown":
			c.wrong = append(c.wrong, string(m.Params))
		case "Runtime.consoleAPICalled", "Log.entryAdded":
			var p struct {
				Type  string
				Entry struct{ Level string }
			}
			json.Unmarshal(m.Params, &p)
			if p.Type == "error" || p.Type == "warning" || p.Entry.Level == "error" || p.Entry.Level == "warning" {
				c.wrong = append(c.wrong, string(m.Params))
			}
		case "Network.requestWillBeSent":
			var p struct{ Request struct{ URL string } }
			json.Unmarshal(m.Params, &p)
			c.asked = append(c.asked, p.Request.URL)
		}
		c.mu.Unlock()
	}
}

// call calls a method and stores its result in into, unless that is nil.
func (c *chromium) call(method string, params map[string]any, into any) {
	c.t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	answer := make(chan message, 1)
	c.mu.Lock()
	c.last++
	id := c.last
	if c.waiting == nil {
		c.mu.Unlock()
		c.t.Fatalf("%s: the browser is gone", method)
	}
	c.waiting[id] = answer
	c.mu.Unlock()
	ask := map[string]any{"id": id, "method": method, "params": params}
	if c.session != "" {
		ask["sessionId"] = c.session
	}
	b, err := json.Marshal(ask)
	if err == nil {
		_, err = c.in.Write(append(b, 0))
	}
	if err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	select {
	case m, ok := <-answer:
		if !ok || m.Error != nil {
			c.t.Fatalf("%s: %s", method, m.Error)
		}
		if into != nil {
			if err := json.Unmarshal(m.Result, into); err != nil {
				c.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-time.After(30 * time.Second):
		c.t.Fatalf("%s: no answer of the browser", method)
	}
}

// eval returns the value of an expression in the page.
func (c *chromium) eval(expression string) any {
	c.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	c.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		c.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	return r.Result.Value
}

// until waits until an expression is true.
func (c *chromium) until(expression string) {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c.eval(expression) == true {
			return
		}
	}
	c.t.Fatalf("never true: %s\nthe page:\n%s\nconsole: %s", expression, c.eval("document.body.innerText"), c.complaints())
}

// open loads a page and waits for it.
func (c *chromium) open(address string) {
	c.t.Helper()
	c.call("Page.navigate", map[string]any{"url": address}, nil)
	c.until(fmt.Sprintf("document.readyState === 'complete' && location.href.startsWith(%q)", address[:10]))
}

func (c *chromium) complaints() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.wrong...)
}

func (c *chromium) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.asked...)
}
