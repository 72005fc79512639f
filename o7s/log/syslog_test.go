// SPDX-License-Identifier: BSD-3-Clause

package log

import (
	"log/slog"
	"log/syslog"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w, err := syslog.Dial("unixgram", path, syslog.LOG_DAEMON|syslog.LOG_INFO, "irmd")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	level := new(slog.LevelVar)
	level.Set(LevelProtocol)
	l := slog.New(newHandler(&system{w: w}, level)).With(ComponentKey, "reg")
	buf := make([]byte, 1024)
	for _, c2 := range []struct {
		level    slog.Level
		priority string // facility daemon is 3<<3
		code     string
	}{
		{slog.LevelError, "<27>", "EE"}, {slog.LevelWarn, "<28>", "WW"}, {slog.LevelInfo, "<30>", "II"},
		{slog.LevelDebug, "<31>", "DB"}, {LevelProtocol, "<31>", "PP"},
	} {
		l.Log(t.Context(), c2.level, "Text.", "n", 1)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got := string(buf[:n])
		if !strings.HasPrefix(got, c2.priority) || !strings.HasSuffix(got, "reg("+c2.code+"): Text. n=1\n") || !strings.Contains(got, "irmd[") {
			t.Errorf("level %v: %q", c2.level, got)
		}
	}
}
