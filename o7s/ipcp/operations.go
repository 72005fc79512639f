// SPDX-License-Identifier: BSD-3-Clause

package ipcp

import (
	"context"
	"fmt"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// maxName is the longest layer or IPCP name in bytes (spec 10 §0.1).
const maxName = 255

// check refuses configurations that no type can take.
func (s *Shell) check(cfg Config) error {
	switch {
	case cfg.Type != s.typ:
		return fmt.Errorf("configuration is for type %v: %w", cfg.Type, layer.ErrInvalid)
	case len(cfg.Layer) == 0 || len(cfg.Layer) > maxName:
		return fmt.Errorf("layer name of %d bytes, need 1 to %d: %w", len(cfg.Layer), maxName, layer.ErrInvalid)
	case s.typ != UDP4 && s.typ != UDP6 && cfg.Hash.Size() == 0: // udp has its own
		return fmt.Errorf("%v: %w", cfg.Hash, layer.ErrInvalid)
	}
	return nil
}

// Bootstrap makes the first member of a layer. It needs BOOT.
func (s *Shell) Bootstrap(ctx context.Context, cfg Config) error {
	const op = "bootstrap"
	ctx, leave, err := s.enter(ctx, op, s.ops.Bootstrap != nil, Boot)
	if err != nil {
		return err
	}
	defer leave()
	var info Info
	if err = s.check(cfg); err == nil {
		info, err = s.ops.Bootstrap(ctx, cfg)
	}
	return s.joined(op, info, err)
}

// Enroll joins the layer of dst. It needs BOOT.
func (s *Shell) Enroll(ctx context.Context, dst string) error {
	const op = "enroll"
	ctx, leave, err := s.enter(ctx, op, s.ops.Enroll != nil, Boot)
	if err != nil {
		return err
	}
	defer leave()
	info, err := s.ops.Enroll(ctx, dst)
	return s.joined(op, info, err)
}

// Register makes the name reachable through the layer.
func (s *Shell) Register(ctx context.Context, name layer.Hash) error {
	ctx, leave, err := s.named(ctx, "register", s.ops.Register != nil, name)
	if err != nil {
		return err
	}
	defer leave()
	return s.ops.Register(ctx, name)
}

// Unregister ends that.
func (s *Shell) Unregister(ctx context.Context, name layer.Hash) error {
	ctx, leave, err := s.named(ctx, "unregister", s.ops.Unregister != nil, name)
	if err != nil {
		return err
	}
	defer leave()
	return s.ops.Unregister(ctx, name)
}

// Query returns nil if somebody in the layer serves the name.
func (s *Shell) Query(ctx context.Context, name layer.Hash) error {
	ctx, leave, err := s.named(ctx, "query", s.ops.Query != nil, name)
	if err != nil {
		return err
	}
	defer leave()
	return s.ops.Query(ctx, name)
}

// Allocate asks for a flow to the name.
func (s *Shell) Allocate(ctx context.Context, dst layer.Hash, qs qos.Spec, data []byte) (layer.Port, []byte, error) {
	ctx, leave, err := s.named(ctx, "allocate", s.ops.Allocate != nil, dst)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	return s.ops.Allocate(ctx, dst, qs, data)
}

// Join joins a broadcast layer.
func (s *Shell) Join(ctx context.Context, name layer.Hash) (layer.Port, error) {
	ctx, leave, err := s.named(ctx, "join", s.ops.Join != nil, name)
	if err != nil {
		return nil, err
	}
	defer leave()
	return s.ops.Join(ctx, name)
}

// Connect connects a component to that of another member.
func (s *Shell) Connect(ctx context.Context, dst, component string, qs qos.Spec) error {
	ctx, leave, err := s.enter(ctx, "connect", s.ops.Connect != nil, Operational)
	if err != nil {
		return err
	}
	defer leave()
	return s.ops.Connect(ctx, dst, component, qs)
}

// Disconnect ends that.
func (s *Shell) Disconnect(ctx context.Context, dst, component string) error {
	ctx, leave, err := s.enter(ctx, "disconnect", s.ops.Disconnect != nil, Operational)
	if err != nil {
		return err
	}
	defer leave()
	return s.ops.Disconnect(ctx, dst, component)
}
