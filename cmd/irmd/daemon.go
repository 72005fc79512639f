// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"o7gw/o7s/irm"
	"o7gw/o7s/irm/config"
	"o7gw/o7s/irm/control"
	"o7gw/o7s/log"
	"o7gw/o7s/node"
)

// grace is how long programs that were started for a name, and layers, may
// take to end at shutdown before they are killed (spec 40 §0.1).
const grace = 30 * time.Second

// politeness is how much of it programs have before their connection ends.
const politeness = 5 * time.Second

// daemon is one run of irmd.
type daemon struct {
	options options
	log     *slog.Logger // without component
	level   *slog.LevelVar
}

func (d *daemon) infof(format string, args ...any) {
	d.log.Info(fmt.Sprintf(format, args...), log.ComponentKey, component)
}

func (d *daemon) warnf(format string, args ...any) {
	d.log.Warn(fmt.Sprintf(format, args...), log.ComponentKey, component)
}

// run serves until a signal comes, or returns why it cannot. The limit of open
// files needs no care here: the Go runtime raises it to the hard one, and
// gives programs that we start the original.
func (d *daemon) run() error {
	var file *config.File
	if d.options.config != "" {
		var err error
		if file, err = config.Load(d.options.config); err != nil {
			return err
		}
		if err = file.Check(); err != nil {
			return err
		}
	}
	signals := newSignals()
	defer signals.stop()
	l, err := control.Listen(d.options.runDir)
	if err != nil {
		return err
	}
	notify := notifier{path: os.Getenv("NOTIFY_SOCKET")}
	// Neither programs that we start nor a second use of it by us.
	os.Unsetenv("NOTIFY_SOCKET")

	i := irm.New(irm.Options{
		Factory:  node.Factory,
		Log:      d.log,
		Spawn:    spawner{runDir: d.options.runDir}.spawn,
		Security: d.options.securityDir,
	})
	serving, stopServing := context.WithCancel(context.Background())
	defer stopServing()
	var wg sync.WaitGroup
	var serveErr error
	failed := make(chan struct{})
	wg.Go(func() {
		if serveErr = control.Serve(serving, i, l.UnixListener, d.log); serveErr != nil {
			close(failed)
		}
	})
	d.infof("Ouroboros IPC Resource Manager daemon started...")

	applyErr := d.apply(signals, file, i)
	if applyErr == nil {
		d.tell(notify, "READY=1")
		d.wait(signals, failed)
	}
	d.tell(notify, "STOPPING=1")
	signals.forced(func() { os.Exit(1) })
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	d.endPrograms(ctx, i)
	stopServing() // no new clients; flows end, their peers see it
	wg.Wait()
	if err := i.Close(ctx); err != nil {
		d.warnf("Shutdown was not clean: %v.", err)
	}
	if err := l.Close(); err != nil {
		d.warnf("Cannot remove the control socket: %v.", err)
	}
	d.infof("Ouroboros IPC Resource Manager daemon exited. Bye.")
	return errors.Join(applyErr, serveErr)
}

// endPrograms ends what was started for names while it can still talk to its
// clients. Those that take their time lose the daemon on the way.
func (d *daemon) endPrograms(ctx context.Context, i *irm.IRM) {
	ctx, cancel := context.WithTimeout(ctx, politeness)
	defer cancel()
	i.EndPrograms(ctx)
}

// apply sets up the node as the file says; a signal ends it early.
func (d *daemon) apply(s *signals, file *config.File, i *irm.IRM) error {
	if file == nil {
		return nil
	}
	ctx, cancel := s.context()
	defer cancel()
	err := file.Apply(ctx, i, d.log)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("ended by a signal before the configuration was applied: %w", err)
	}
	return err
}

// wait returns when it is time to shut down.
func (d *daemon) wait(s *signals, failed <-chan struct{}) {
	for {
		select {
		case <-failed:
			return
		case <-s.end:
			return
		case <-s.hangup:
			d.warnf("Got SIGHUP: nothing is reloaded. Change the running node with irm, or restart it.")
		case <-s.debug:
			if d.level.Level() > slog.LevelDebug {
				d.level.Set(slog.LevelDebug)
			} else {
				d.level.Set(max(d.options.level, slog.LevelInfo))
			}
			d.infof("Log level is %s.", log.LevelName(d.level.Level()))
		}
	}
}

// tell reports to the service manager.
func (d *daemon) tell(n notifier, state string) {
	if err := n.send(state); err != nil {
		d.warnf("Cannot notify the service manager: %v.", err)
	}
}

// signals receives what the daemon reacts to.
type signals struct {
	end, hangup, debug chan os.Signal
	// pipe swallows SIGPIPE: a log reader that goes away is no reason to end.
	// Ignoring it would pass on to programs that we start.
	pipe chan os.Signal
}

func newSignals() *signals {
	s := &signals{end: make(chan os.Signal, 1), hangup: make(chan os.Signal, 1), debug: make(chan os.Signal, 1), pipe: make(chan os.Signal)}
	signal.Notify(s.end, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	signal.Notify(s.hangup, syscall.SIGHUP)
	signal.Notify(s.debug, syscall.SIGUSR1)
	signal.Notify(s.pipe, syscall.SIGPIPE)
	return s
}

// context returns a context that a signal to end cancels. The signal is kept
// for wait.
func (s *signals) context() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
}

// forced calls f at the next signal to end.
func (s *signals) forced(f func()) {
	select {
	case <-s.end: // that which began the shutdown, if nobody took it
	default:
	}
	go func() {
		if _, ok := <-s.end; ok {
			f()
		}
	}()
}

// stop gives the signals back.
func (s *signals) stop() {
	signal.Stop(s.end)
	signal.Stop(s.hangup)
	signal.Stop(s.debug)
	signal.Stop(s.pipe)
	close(s.end) // ends the goroutine of forced
}
