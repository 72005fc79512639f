// SPDX-License-Identifier: BSD-3-Clause

// Bench measures the whole system, from one process to another, and prints a
// table of figures and their ratios to peers measured in the same run:
// plain veth, and wireguard-go of the pinned module, which is built into this
// program.
//
//	go run ./integration/bench [-only NAME,…] [-json] [-list]
//
// It needs root, and iperf3 and ping for the tunnel (integration/deps.sh).
// Figures are medians of several runs; where there is a peer, the runs
// alternate. Hosts are network namespaces joined by veth. Loads
// are made by the project's own tools and by re-executions of this program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"o7gw/integration/lab"
)

// limit is the longest time that one benchmark may take.
const limit = 40 * time.Second

// benchmark is one entry of the table; it may give several figures.
type benchmark struct {
	name string
	what string
	want string // of the first figure, by the issue that first asked for it; may be empty
	run  func(ctx context.Context, b *bench) ([]figure, error)
}

// bench is what a benchmark works with.
type bench struct {
	bin  string // directory with the programs
	work string // directory for run directories and configurations
	log  io.Writer
}

func main() {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	only := flag.String("only", "", "run these benchmarks, separated by commas")
	asJSON := flag.Bool("json", false, "print one JSON object per figure")
	list := flag.Bool("list", false, "list the benchmarks and exit")
	flag.Parse()
	if *list {
		for _, m := range benchmarks {
			fmt.Printf("%-20s %s%s\n", m.name, m.what, parenthesis(m.want))
		}
		return nil
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if err := lab.Check(); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "o7bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &bench{bin: work + "/bin", work: work, log: os.Stderr}
	fmt.Fprintln(b.log, "building the programs")
	if err := lab.Build(b.bin, "o7gw/cmd/irmd", "o7gw/cmd/irm", "o7gw/cmd/oping", "o7gw/cmd/o7gw"); err != nil {
		return err
	}
	var failed []error
	if !*asJSON {
		fmt.Print(heading)
	}
	for _, m := range chosen {
		figures, err := b.measure(ctx, m)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", m.name, err))
			if ctx.Err() != nil {
				break
			}
		}
		for i, f := range figures {
			want := m.want
			if i > 0 { // what else was seen
				want = ""
			}
			if *asJSON {
				f.printJSON(os.Stdout)
			} else {
				f.print(os.Stdout, want)
			}
		}
	}
	return errors.Join(failed...)
}

func parenthesis(want string) string {
	if want == "" {
		return ""
	}
	return " (wanted: " + want + ")"
}

// measure runs one benchmark within its limit.
func (b *bench) measure(ctx context.Context, m benchmark) ([]figure, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	figures, err := m.run(ctx, b)
	fmt.Fprintf(b.log, "%s took %.1f s\n", m.name, time.Since(start).Seconds())
	return figures, err
}

func choose(only string) ([]benchmark, error) {
	if only == "" {
		return benchmarks, nil
	}
	var chosen []benchmark
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(benchmarks, func(m benchmark) bool { return m.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no benchmark is called %q; -list shows them", name)
		}
		chosen = append(chosen, benchmarks[i])
	}
	return chosen, nil
}
