// SPDX-License-Identifier: BSD-3-Clause

package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"o7gw/proxy/session"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestAccount(t *testing.T) {
	b := New("forward", "web", discard())
	if s := b.Snapshot(9); s.State != "starting" || s.Kind != "forward" || s.Name != "web" || s.Sessions == nil {
		t.Errorf("%+v", s)
	}
	b.SetState("up", nil)
	first := b.Open(Info{Proto: session.TCP, Source: "127.0.0.1:1", Service: "web"})
	second := b.Open(Info{Proto: session.UDP, Peer: "p", Source: "127.0.0.1:2", Target: "t:53", Service: "web"})
	first.Rx(2, 1000)
	first.Tx(1, 10)
	second.Rx(1, 1)
	check := func(open int, total, rxp, rx, txp, tx uint64) {
		t.Helper()
		s := b.Snapshot(9)
		if s.Open != open || len(s.Sessions) != open || b.Sessions() != open || s.Total != total ||
			s.RxPackets != rxp || s.RxBytes != rx || s.TxPackets != txp || s.TxBytes != tx || s.State != "up" {
			t.Errorf("%+v", s)
		}
	}
	check(2, 2, 3, 1001, 1, 10)
	s := b.Snapshot(1)
	if len(s.Sessions) != 1 || s.Open != 2 {
		t.Fatalf("%+v", s)
	}
	if e := s.Sessions[0]; e.Proto != "udp" || e.Peer != "p" || e.Target != "t:53" || e.RxBytes != 1 || e.Age < 0 {
		t.Errorf("the newest is %+v", e)
	}
	first.Close(nil)
	first.Close(nil)
	check(1, 2, 3, 1001, 1, 10)
	second.Close(io.EOF)
	check(0, 2, 3, 1001, 1, 10)
}

func TestRefusedAndErrors(t *testing.T) {
	b := New("exit", "out", discard())
	b.Refused(Info{Target: "h:1"}, session.Denied)
	b.Refused(Info{Service: "svc"}, fmt.Errorf("dial: %w", session.Busy))
	b.Refused(Info{Target: "h:2"}, errors.New("disk on fire"))
	s := b.Snapshot(9)
	if s.Refused != 2 || s.Failed != 1 || s.Total != 0 || s.LastError != "h:2: disk on fire" || s.ErrorTime == nil {
		t.Errorf("%+v", s)
	}
	b.SetState("down: no layer", errors.New("no layer"))
	if s := b.Snapshot(9); s.State != "down: no layer" || s.LastError != "no layer" {
		t.Errorf("%+v", s)
	}
}

// TestAudit: a session that ends is one line at debug, and none at info.
func TestAudit(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		var out bytes.Buffer
		b := New("expose", "web", slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level})))
		s := b.Open(Info{Proto: session.TCP, Peer: "alice", Source: "1.2.3.4:5", Target: "h:80", Service: "web"})
		s.Rx(1, 7)
		s.Close(errors.New("reset"))
		s.Close(nil)
		b.Refused(Info{Proto: session.TCP, Target: "h:81"}, session.Denied)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if level == slog.LevelInfo {
			if out.Len() > 0 {
				t.Errorf("at info: %s", out.String())
			}
			continue
		}
		if len(lines) != 2 {
			t.Fatalf("%d lines: %s", len(lines), out.String())
		}
		var line map[string]any
		if err := json.Unmarshal([]byte(lines[0]), &line); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]any{
			"component": "o7gw/expose", "object": "web", "protocol": "tcp", "peer": "alice", "source": "1.2.3.4:5",
			"target": "h:80", "service": "web", "end": "reset", "rx": 7.0, "tx": 0.0,
		} {
			if line[key] != want {
				t.Errorf("%s is %v, want %v", key, line[key], want)
			}
		}
		if !strings.Contains(lines[1], session.Denied.Error()) {
			t.Error(lines[1])
		}
	}
}

// TestConcurrent: sums never go back while sessions come and go.
func TestConcurrent(t *testing.T) {
	b := New("forward", "", discard())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := b.Open(Info{})
				s.Rx(1, 10)
				s.Tx(1, 10)
				s.Close(nil)
			}
		})
	}
	var before Snapshot
	for range 2000 {
		s := b.Snapshot(3)
		if s.RxBytes < before.RxBytes || s.TxPackets < before.TxPackets || s.Total < before.Total || len(s.Sessions) > 3 {
			t.Errorf("%+v after %+v", s, before)
		}
		before = s
	}
	close(stop)
	wg.Wait()
	if s := b.Snapshot(3); s.RxBytes != 10*s.Total || s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

func BenchmarkSession(b *testing.B) {
	book := New("forward", "", discard())
	b.ReportAllocs()
	for b.Loop() {
		s := book.Open(Info{Proto: session.TCP})
		s.Rx(1, 1)
		s.Close(nil)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	book := New("forward", "", discard())
	for range 10000 {
		book.Open(Info{Proto: session.TCP})
	}
	b.ReportAllocs()
	for b.Loop() {
		book.Snapshot(100)
	}
}
