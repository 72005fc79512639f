// SPDX-License-Identifier: BSD-3-Clause

package log

import (
	"fmt"
	"log/slog"
	"log/syslog"
)

// Syslog returns a handler that writes to the system log, facility daemon,
// with the component in front of each message. The caller closes the
// connection by the returned function after the last record.
func Syslog(tag string, level slog.Leveler) (h slog.Handler, done func() error, err error) {
	w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, tag)
	if err != nil {
		return nil, nil, fmt.Errorf("open syslog: %w", err)
	}
	return newHandler(&system{w: w}, level), w.Close, nil
}

// system writes lines to syslog, which has pid and level in fields of its own.
type system struct{ w *syslog.Writer }

func (s *system) write(level slog.Level, component string, text []byte) error {
	l := levels[index(level)]
	line := string(text)
	if component != "" {
		line = string(appendPlain(nil, component)) + "(" + l.code + "): " + line
	}
	switch l.code {
	case "EE":
		return s.w.Err(line)
	case "WW":
		return s.w.Warning(line)
	case "II":
		return s.w.Info(line)
	}
	return s.w.Debug(line)
}
