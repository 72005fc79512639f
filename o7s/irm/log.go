// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
)

// The texts of log lines are those of the prototype (spec 40 §8), for scripts
// that look for them; hence formatted text and no attributes.

func (i *IRM) infof(format string, args ...any) { i.logf(slog.LevelInfo, format, args...) }
func (i *IRM) warnf(format string, args ...any) { i.logf(slog.LevelWarn, format, args...) }

func (i *IRM) logf(level slog.Level, format string, args ...any) {
	if i.log.Enabled(context.Background(), level) {
		i.log.Log(context.Background(), level, fmt.Sprintf(format, args...))
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
