// SPDX-License-Identifier: BSD-3-Clause

package o7s

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"

	"o7gw/o7s/flow"
	"o7gw/o7s/layer"
)

// fullBackend has no room for flows at first, and then ends.
type fullBackend struct {
	Backend
	errs []error
}

func (b *fullBackend) Listen(context.Context, string) (func(), error) { return func() {}, nil }
func (b *fullBackend) Close() error                                   { return nil }
func (b *fullBackend) Accept(ctx context.Context, _ string) (*flow.Attachment, error) {
	if len(b.errs) == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	err := b.errs[0]
	b.errs = b.errs[1:]
	return nil, err
}

// TestAcceptWithoutRoom: a flow too many does not end a server, which would
// be a way for clients to end it.
func TestAcceptWithoutRoom(t *testing.T) {
	end := errors.New("the end")
	s := NewStack(&fullBackend{errs: []error{layer.Errno(syscall.EAGAIN), syscall.EMFILE, end}})
	defer s.Close()
	l, err := s.Listen(t.Context(), "n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); !errors.Is(err, end) {
		t.Errorf("accept: %v", err)
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	l.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept of a closed listener: %v", err)
	}
}
