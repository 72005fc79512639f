// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"

	"o7gw/o7s/ring"
)

// errMessage is the end of a connection whose peer does not keep to the
// protocol.
var errMessage = errors.New("malformed message")

// message is a buffer for one received message.
type message struct {
	buf, oob []byte
}

// newMessage returns a buffer for messages of up to size bytes with up to
// files descriptors. With files 0 the kernel itself discards descriptors that
// the peer sends, before they take a number in this process.
func newMessage(size, files int) *message {
	m := &message{buf: make([]byte, size+1)} // one byte more shows excess
	if files > 0 {
		m.oob = make([]byte, unix.CmsgSpace(4*files))
	}
	return m
}

// receive returns the next message, valid until the next call, and the
// descriptors that came with it, which are the caller's, all set to close on
// exec. It returns io.EOF at the end, and errMessage for an empty or too long
// message.
func (m *message) receive(c *net.UnixConn) ([]byte, []ring.FD, error) {
	n, oobn, flags, _, err := c.ReadMsgUnix(m.buf, m.oob)
	if err != nil {
		return nil, nil, err
	}
	files, err := parseFiles(m.oob[:oobn])
	if err != nil {
		return nil, nil, err
	}
	if n == 0 {
		closeFiles(files)
		return nil, nil, io.EOF
	}
	if n == len(m.buf) || flags&unix.MSG_TRUNC != 0 {
		closeFiles(files)
		return nil, nil, fmt.Errorf("%w: longer than %d bytes", errMessage, len(m.buf)-1)
	}
	if len(m.oob) > 0 && flags&unix.MSG_CTRUNC != 0 {
		// Most likely there is no room for them. Who needs them will miss
		// them; the connection goes on.
		closeFiles(files)
		files = nil
	}
	return m.buf[:n], files, nil
}

// parseFiles takes the descriptors out of control data.
func parseFiles(oob []byte) ([]ring.FD, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	cmsgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("%w: control data: %w", errMessage, err)
	}
	var files []ring.FD
	for i := range cmsgs {
		fds, err := unix.ParseUnixRights(&cmsgs[i])
		if err != nil {
			continue // credentials or the like
		}
		for _, fd := range fds {
			files = append(files, ring.NewFD(fd))
		}
	}
	return files, nil
}

func closeFiles(files []ring.FD) {
	for _, f := range files {
		f.Close()
	}
}
