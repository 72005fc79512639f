// SPDX-License-Identifier: BSD-3-Clause

package o7s_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// The examples run on this exchange instead of a daemon or node. A program
// writes
//
//	stack, err := o7s.Connect(ctx, "")
var stack = newExchange(true).stack()

func Example() {
	ctx := context.Background()

	l, err := stack.Listen(ctx, "greeter")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		f, err := l.AcceptFlow(ctx)
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		buf := make([]byte, f.MTU())
		n, _, err := f.ReadPacket(buf)
		if err != nil {
			log.Fatal(err)
		}
		f.WritePacket(fmt.Appendf(nil, "hello, %s", buf[:n]))
	}()

	f, err := stack.Dial(ctx, "greeter")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	f.WritePacket([]byte("world"))
	buf := make([]byte, f.MTU())
	n, _, err := f.ReadPacket(buf)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(buf[:n]))
	_, _, err = f.ReadPacket(buf)
	fmt.Println(err == io.EOF) // the server has closed
	// Output:
	// hello, world
	// true
}

// A peer that stays silent for two seconds counts as dead; so this side sends
// a keepalive every half second.
func ExampleWithQoS() {
	qs := qos.Raw
	qs.Timeout = 2000
	_, err := stack.Dial(context.Background(), "nobody", o7s.WithQoS(qs))
	fmt.Println(errors.Is(err, layer.ErrNoName))
	fmt.Println(err)
	// Output:
	// true
	// dial o7s nobody: no such name (-1007)
}

// Whatever works on a net.Listener works on a name.
func ExampleStack_Listen() {
	l, err := stack.Listen(context.Background(), "web")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(l, http.NotFoundHandler())
	fmt.Println(l.Addr().Network(), l.Addr())
	l.Close()
	// Output:
	// o7s web
}

// Batches move many packets with one call, in buffers of a pool.
func ExampleFlow_WriteBatch() {
	ctx := context.Background()
	l, err := stack.Listen(ctx, "batches")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	f, err := stack.Dial(ctx, "batches")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()

	var out [3]*packet.Buffer
	packet.GetBatch(out[:], 16) // room for 16 bytes each
	for i, b := range out {
		b.Append(fmt.Append(nil, "packet ", i))
	}
	if err := f.WriteBatch(out[:]); err != nil { // takes the buffers
		log.Fatal(err)
	}

	g, err := l.AcceptFlow(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	in := make([]*packet.Buffer, packet.BatchSize)
	n, err := g.ReadBatch(in)
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range in[:n] {
		fmt.Println(string(b.Bytes()))
	}
	packet.ReleaseBatch(in[:n])
	// Output:
	// packet 0
	// packet 1
	// packet 2
}

// One goroutine serves many flows.
func ExampleFlowSet() {
	ctx := context.Background()
	l, err := stack.Listen(ctx, "many")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	set, err := stack.NewFlowSet()
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	for i := range 2 {
		f, err := stack.Dial(ctx, "many")
		if err != nil {
			log.Fatal(err)
		}
		f.WritePacket(fmt.Append(nil, "from client ", i))
		f.Close()
		g, err := l.AcceptFlow(ctx)
		if err != nil {
			log.Fatal(err)
		}
		g.SetNonblock(true)
		if err := set.Add(g); err != nil {
			log.Fatal(err)
		}
	}

	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	buf := make([]byte, 2048)
	for open := 2; open > 0; {
		events, err := set.Wait(ctx, nil)
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range events {
			n, _, err := e.Flow.ReadPacket(buf)
			switch {
			case err == nil:
				fmt.Println(string(buf[:n]))
			case errors.Is(err, io.EOF):
				set.Remove(e.Flow)
				e.Flow.Close()
				open--
			}
		}
	}
	// Unordered output:
	// from client 0
	// from client 1
}
