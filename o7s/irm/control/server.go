// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"o7gw/o7s/irm"
	"o7gw/o7s/log"
)

// acceptPause is how long the server waits when it cannot accept, mostly for
// want of descriptors.
const acceptPause = 100 * time.Millisecond

// server is what the connections of a daemon share.
type server struct {
	irm      *irm.IRM
	log      *slog.Logger
	started  time.Time
	version  string
	group    uint32 // AdminGroup
	hasGroup bool
	limits   limits
	wg       sync.WaitGroup // connections
	quota    log.Quota      // of log lines about a user's connections

	kept keptShare

	mu    sync.Mutex // guards users and conns
	users map[uint32]*usage
	conns int
}

// Serve answers requests on the socket until ctx ends; then it ends all
// connections, and with them the flows of their processes, and returns nil
// when everything is over. It leaves the listener open: what closes it
// removes the socket.
func Serve(ctx context.Context, i *irm.IRM, l *net.UnixListener, base *slog.Logger) error {
	return serve(ctx, i, l, base, systemLimits())
}

func serve(ctx context.Context, i *irm.IRM, l *net.UnixListener, base *slog.Logger, lim limits) error {
	s := &server{
		irm:     i,
		log:     base.With("component", "irmd/control"),
		started: time.Now(),
		version: version(),
		limits:  lim,
		users:   make(map[uint32]*usage),
		kept:    keptShare{left: lim.kept},
	}
	s.group, s.hasGroup = adminGroup()
	ctx, cancel := context.WithCancel(ctx)
	defer s.wg.Wait()
	defer cancel()
	// A deadline in the past wakes the accept without closing the socket.
	defer context.AfterFunc(ctx, func() { l.SetDeadline(time.Unix(1, 0)) })()
	for {
		uc, err := l.AcceptUnix()
		switch {
		case err == nil:
			s.admit(ctx, uc)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("serve control socket: %w", err)
		default:
			s.log.Warn(fmt.Sprintf("Cannot accept a connection: %v.", err))
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
		}
	}
}

// admit starts the service of a connection, or closes it.
func (s *server) admit(ctx context.Context, uc *net.UnixConn) {
	creds, err := s.peerCreds(uc)
	if err != nil {
		s.log.Warn(fmt.Sprintf("Cannot serve a connection: %v.", err))
		uc.Close()
		return
	}
	if err := s.takeConn(creds); err != nil {
		s.warnf(creds, "Refused process %d: %v.", creds.PID, err)
		uc.Close()
		return
	}
	s.wg.Go(func() {
		defer s.giveConn(creds)
		newConn(ctx, s, uc, creds).serve()
	})
}

// warnf writes a line about what a client did, within the quota of its user.
func (s *server) warnf(c irm.Creds, format string, args ...any) {
	if ok, lost := s.quota.Take(c.UID); ok {
		if lost > 0 {
			s.log.Warn(fmt.Sprintf("%d log lines about connections of user %d were left out.", lost, c.UID))
		}
		s.log.Warn(fmt.Sprintf(format, args...))
	}
}

// version returns the version of this build for Status.
func version() string {
	v := "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	return fmt.Sprintf("%s compatible, o7gw %s", Compatible, v)
}
