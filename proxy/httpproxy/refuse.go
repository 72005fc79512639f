// SPDX-License-Identifier: BSD-3-Clause

package httpproxy

import (
	"errors"
	"fmt"
	"net/http"

	"o7gw/proxy"
	"o7gw/proxy/route"
	"o7gw/proxy/session"
)

// fail answers a request with an error that says what to do.
func fail(w http.ResponseWriter, code int, text string) {
	http.Error(w, fmt.Sprintf("%d %s\n\n%s", code, http.StatusText(code), text), code)
}

// refuse answers a request that could not be served.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var d *dialError
	if !errors.As(err, &d) {
		if r.Context().Err() == nil {
			p.log.Debug("request failed", "url", r.URL, "err", err)
		}
		fail(w, http.StatusBadGateway, fmt.Sprintf("%s has ended the connection, or has not answered in HTTP: %v.", r.Host, err))
		return
	}
	status := session.StatusOf(d.err)
	fail(w, httpStatus(status), fmt.Sprintf("%s: %v.\n\n%s", d.target, d.err, advice(status, d.err, d.way)))
}

// httpStatus returns the HTTP status for that of a session.
func httpStatus(s session.Status) int {
	switch s {
	case session.Denied:
		return http.StatusForbidden
	case session.Busy:
		return http.StatusServiceUnavailable
	case session.TimedOut:
		return http.StatusGatewayTimeout
	case session.BadRequest:
		return http.StatusBadRequest
	}
	return http.StatusBadGateway
}

// advice says what is wrong, and what to do.
func advice(s session.Status, err error, way route.Way) string {
	exit := way.Request.Host != "" || way.Request.Addr.IsValid()
	switch {
	case way.Service == "" && s == session.Unreachable:
		return "No exit serves this destination: add a [[route]] for it to the configuration of the gateway."
	case proxy.NobodyServes(err):
		return fmt.Sprintf("Nobody serves the Ouroboros name %q: look there with `o7gw status`, here with `o7gw doctor`.", way.Service)
	case s == session.Refused && exit:
		return fmt.Sprintf("The exit %q reaches the host, but nothing listens at the port.", way.Service)
	case s == session.Refused:
		return fmt.Sprintf("Nothing listens at port %d of the service %q: look at its [[expose]].", way.Request.Port, way.Service)
	case s == session.Denied:
		return fmt.Sprintf("The policy of %q forbids it: look at its allow list.", way.Service)
	case s == session.NotFound && exit:
		return fmt.Sprintf("The exit %q cannot resolve the host name: check its spelling.", way.Service)
	case s == session.NotFound:
		return "There is no service of that name: check its spelling."
	case s == session.Busy:
		return fmt.Sprintf("%q is at the limit of its sessions: try again later.", way.Service)
	case s == session.TimedOut:
		return fmt.Sprintf("%q, or what is behind it, does not answer: look there with `o7gw status`.", way.Service)
	case s == session.BadRequest:
		return "Check the host name and port."
	}
	return "The log of the gateway at level debug says more."
}
