// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"fmt"
	"strings"
	"testing"

	"o7gw/gateway/web/browsertest"
)

// TestBrowser: the page in a real browser shows what the gateway does, goes on
// showing it, asks nobody else, and takes names from the network for text.
func TestBrowser(t *testing.T) {
	t.Parallel()
	c := browsertest.Start(t)
	g := newFake(t)
	s := serve(t, Defaults(), g)
	c.Open("http://" + s.Addr().String() + "/")
	c.Until("document.getElementById('link').dataset.state === 'live'")

	for what, expression := range map[string]string{
		"objects":             `document.querySelectorAll('#objects tbody tr').length === 4`,
		"tunnel":              `document.getElementById('objects').innerText.includes('tunnel office')`,
		"state":               `document.querySelector('#objects tbody .good').textContent === 'up'`,
		"service":             `document.getElementById('objects').innerText.includes('web.example')`,
		"listen":              `document.getElementById('objects').innerText.includes('tcp:127.0.0.1:8080')`,
		"sessions":            `document.querySelectorAll('#sessions tbody tr').length === 3`,
		"peers":               `document.getElementById('peers').innerText.includes('flow 7: 10.0.0.2/32')`,
		"names":               `document.getElementById('names').innerText.includes('198.18.3.4')`,
		"totals":              `document.getElementById('totals').innerText.includes('3 of 4')`,
		"title":               `document.title === 'o7gw 3/4'`,
		"hostile peer's name": fmt.Sprintf(`document.getElementById('sessions').textContent.includes(%q)`, hostile),
		"hostile error":       fmt.Sprintf(`document.getElementById('objects').textContent.includes(%q)`, hostile),
		"nothing of it ran":   `window.owned === undefined && document.images.length === 1 && document.scripts.length === 1`,
	} {
		t.Log(what)
		c.Until(expression)
	}

	// The plot: more points as time goes on, and those of the traffic.
	c.Until(`document.getElementById('reading').textContent.includes('bit/s in')`)
	before := c.Eval(`document.getElementById('plot').toDataURL()`).(string)
	g.traffic(1 << 20)
	c.Until(fmt.Sprintf(`document.getElementById('plot').toDataURL() !== %q`, before))
	c.Until(`/[MG]bit\/s in/.test(document.getElementById('plot').getAttribute('aria-label'))`)
	c.Until(`document.querySelector('#objects .spark polyline').getAttribute('points').split(' ').length > 2`)

	// The filter, and an object of one's own in the plot.
	c.Eval(`{ const f = document.getElementById('filter'); f.value = '192.0.2.9'; f.dispatchEvent(new Event('input')) }`)
	c.Until(`document.querySelectorAll('#sessions tbody tr').length === 1 && document.getElementById('shown').textContent === '1 of 3'`)
	c.Eval(`{ const o = document.getElementById('of'); o.value = 'expose web'; o.dispatchEvent(new Event('change')) }`)
	c.Until(`document.getElementById('plot').getAttribute('aria-label').includes('expose web')`)

	// A telephone, and the dark.
	light := c.Eval(`getComputedStyle(document.body).backgroundColor`)
	c.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 844, "deviceScaleFactor": 3, "mobile": true}, nil)
	c.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": "dark"}}}, nil)
	c.Until(`document.scrollingElement.scrollWidth <= 390`)
	if dark := c.Eval(`getComputedStyle(document.body).backgroundColor`); dark == light {
		t.Errorf("the background is %v in the dark, too", dark)
	}

	// Another gateway in the same place: the page comes back by itself.
	address := s.Addr().String()
	s.Close()
	c.Until("document.getElementById('link').dataset.state === 'lost'")
	if wrong := withoutRefused(c.Complaints()); len(wrong) > 0 {
		t.Errorf("the console says\n%s", strings.Join(wrong, "\n"))
	}
	serve(t, at(address), g)
	c.Until("document.getElementById('link').dataset.state === 'live'")
	for _, u := range c.Requests() {
		if !strings.HasPrefix(u, "http://"+address+"/") && u != "about:blank" {
			t.Errorf("the page asked for %s", u)
		}
	}
}

// withoutRefused leaves out what a browser says of a server that is not there.
func withoutRefused(list []string) (rest []string) {
	for _, s := range list {
		if !strings.Contains(s, "net::ERR_") {
			rest = append(rest, s)
		}
	}
	return rest
}

// TestBrowserToken: the token in the address opens the page, disappears from
// there, and the cookie goes on.
func TestBrowserToken(t *testing.T) {
	t.Parallel()
	c := browsertest.Start(t)
	cfg := Defaults()
	cfg.Token = secret
	s := serve(t, cfg, newFake(t))
	base := "http://" + s.Addr().String() + "/"
	c.Open(base)
	c.Until("document.body.innerText.includes('needs its token')")
	c.Open(base + "?token=" + secret)
	c.Until("document.getElementById('link')?.dataset.state === 'live'")
	if at := c.Eval("location.href"); at != base {
		t.Errorf("the address is %v", at)
	}
	if cookie := c.Eval("document.cookie"); cookie != "" {
		t.Errorf("scripts see the cookie %v", cookie)
	}
	c.Open(base)
	c.Until("document.getElementById('link')?.dataset.state === 'live'")
}
