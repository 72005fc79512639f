// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The texts of log lines are those of the prototype (spec 40 §8), for scripts
// that look for them; hence formatted text and no attributes.

func (i *IRM) infof(format string, args ...any) { i.logf(slog.LevelInfo, format, args...) }
func (i *IRM) warnf(format string, args ...any) { i.logf(slog.LevelWarn, format, args...) }

// cause is who makes us write a line: a user, or whoever is behind an IPC
// process. Each has a quota.
type cause struct {
	creds Creds
	m     *member
}

// infoBy and warnBy are infof and warnf for lines of which anybody can cause any number.
func (i *IRM) infoBy(c cause, format string, args ...any) {
	i.logBy(c, slog.LevelInfo, format, args...)
}
func (i *IRM) warnBy(c cause, format string, args ...any) {
	i.logBy(c, slog.LevelWarn, format, args...)
}

func (i *IRM) logBy(c cause, level slog.Level, format string, args ...any) {
	var ok bool
	var lost int
	switch {
	case c.m != nil:
		ok, lost = i.remoteQuota.Take(uint32(c.m.id))
	case c.creds.Admin:
		ok = true
	default:
		ok, lost = i.userQuota.Take(c.creds.UID)
	}
	if !ok {
		return
	}
	if lost > 0 {
		whose := fmt.Sprintf("user %d", c.creds.UID)
		if c.m != nil {
			whose = fmt.Sprintf("requests through IPCP %d", c.m.id)
		}
		i.warnf("%d log lines about what %s did were left out.", lost, whose)
	}
	i.logf(level, format, args...)
}

func (p *Process) cause() cause { return cause{creds: p.info.Creds} }

// cause is who caused the name to be, as far as that is limited.
func (n *name) cause() cause {
	return cause{creds: Creds{UID: n.owner, Admin: n.owner == 0 || n.owner == uint32(os.Geteuid())}}
}

// logf does not ask for its caller, as a Logger would: that costs more than the line.
func (i *IRM) logf(level slog.Level, format string, args ...any) {
	h := i.log.Handler()
	if h.Enabled(context.Background(), level) {
		// There is nobody to tell an error.
		_ = h.Handle(context.Background(), slog.NewRecord(time.Now(), level, fmt.Sprintf(format, args...), 0))
	}
}

// text is a string that a user chose. In a log line it must not look like the
// end of the line.
type text string

func (t text) String() string {
	if strings.ContainsFunc(string(t), unicode.IsControl) {
		return strconv.Quote(string(t))
	}
	return string(t)
}
