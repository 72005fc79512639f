// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/o7s/packet"
)

func mincore(mem, vec []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mem[0])), uintptr(len(mem)), uintptr(unsafe.Pointer(&vec[0])))
	if errno != 0 {
		return errno
	}
	return nil
}

// child is the other process of a test: it opens side B from descriptors 3
// and 4 and does its job until the flow ends.
func child(job string) {
	if job == "echomany" {
		echoMany()
		return
	}
	e, err := Open(Files{Mem: NewFD(3), Bell: NewFD(4), Side: SideB})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buf := make([]byte, MaxPacket)
	switch job {
	case "echo":
		echo(e, buf)
	case "flood": // numbered packets until the flow ends
		for i := uint64(0); ; i++ {
			binary.BigEndian.PutUint64(buf, i)
			if err := e.Write(buf[:64], nil); err != nil {
				return
			}
		}
	case "count": // reads to the end, answers how many came in order
		var n uint64
		for {
			k, _, err := e.Read(buf, nil)
			if err != nil || k == 1 {
				break
			}
			if k >= 8 && binary.BigEndian.Uint64(buf) == n {
				n++
			}
		}
		binary.BigEndian.PutUint64(buf, n)
		e.Write(buf[:8], nil)
		e.Read(buf, nil)
	case "countbatch":
		var n uint64
		bufs := make([]*packet.Buffer, packet.BatchSize)
		for end := false; !end; {
			k, err := e.ReadBatch(bufs, nil)
			if err != nil {
				break
			}
			for _, p := range bufs[:k] {
				if p.Len() == 1 {
					end = true
				} else if binary.BigEndian.Uint64(p.Bytes()) == n {
					n++
				}
			}
			packet.ReleaseBatch(bufs[:k])
		}
		binary.BigEndian.PutUint64(buf, n)
		e.Write(buf[:8], nil)
		e.Read(buf, nil)
	case "hang": // never reads
		fmt.Println("ready")
		select {}
	}
}

// echo answers every packet until the flow ends.
func echo(e *End, buf []byte) {
	for {
		n, _, err := e.Read(buf, nil)
		if err != nil {
			return
		}
		if err := e.Write(buf[:n], nil); err != nil {
			return
		}
	}
}

// manyFlows is how many flows the job "echomany" has.
const manyFlows = 16

func echoMany() {
	var done sync.WaitGroup
	for i := range manyFlows {
		e, err := Open(Files{Mem: NewFD(3 + 2*i), Bell: NewFD(4 + 2*i), Side: SideB})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		done.Add(1)
		go func() {
			defer done.Done()
			echo(e, make([]byte, 64))
		}()
	}
	done.Wait()
}

// startMany runs this test binary as the other process of many flows.
func startMany(t testing.TB) []*End {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "RING_TEST_CHILD=echomany")
	cmd.Stderr = os.Stderr
	var ends []*End
	for range manyFlows {
		fa, fb, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		e, err := Open(fa)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, e)
		cmd.ExtraFiles = append(cmd.ExtraFiles, extraFiles(fb)...)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	t.Cleanup(func() {
		for _, e := range ends {
			e.Close()
		}
		cmd.Wait()
	})
	return ends
}

// extraFiles hands the files over to os/exec.
func extraFiles(f Files) []*os.File {
	return []*os.File{os.NewFile(uintptr(f.Mem.Int()), "mem"), os.NewFile(uintptr(f.Bell.Int()), "bell")}
}

// start runs this test binary as the other process of a ring and returns our
// End.
func start(t testing.TB, job string) (*End, *exec.Cmd) {
	t.Helper()
	fa, fb, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "RING_TEST_CHILD="+job)
	cmd.ExtraFiles = extraFiles(fb)
	cmd.Stderr = os.Stderr
	var out io.ReadCloser
	if job == "hang" {
		out, _ = cmd.StdoutPipe()
	}
	err = cmd.Start()
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	if err != nil {
		fa.Close()
		t.Fatal(err)
	}
	e, err := Open(fa)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	if out != nil {
		bufio.NewReader(out).ReadString('\n')
	}
	return e, cmd
}

func TestEchoOfOtherProcess(t *testing.T) {
	e, _ := start(t, "echo")
	buf := make([]byte, MaxPacket)
	for i := range 2000 {
		n := i * 33 % MaxPacket
		if err := e.Write(pattern(i, n), nil); err != nil {
			t.Fatal(err)
		}
		got, _, err := e.Read(buf, nil)
		if err != nil || got != n || string(buf[:n]) != string(pattern(i, n)) {
			t.Fatalf("packet %d: %d bytes, %v", i, got, err)
		}
	}
}

// When the other process is killed mid-transfer, what it wrote is read, in
// order, and then the end.
func TestKilledWriter(t *testing.T) {
	e, cmd := start(t, "flood")
	buf := make([]byte, 64)
	var next uint64
	for ; ; next++ {
		if next == 50000 {
			cmd.Process.Kill()
		}
		e.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _, err := e.Read(buf, nil)
		if err == io.EOF {
			break
		}
		if err != nil || n != 64 || binary.BigEndian.Uint64(buf) != next {
			t.Fatalf("packet %d: %d bytes, %v", next, n, err)
		}
	}
	if next < 50000 {
		t.Fatalf("only %d packets", next)
	}
	if err := e.Write(buf, nil); !errors.Is(err, ErrPeerClosed) {
		t.Errorf("write: %v", err)
	}
}

// A writer that is blocked because the other process does not read learns of
// its death.
func TestKilledReader(t *testing.T) {
	e, cmd := start(t, "hang")
	full := make(chan struct{})
	go func() {
		for {
			e.bell.mu.Lock()
			waits := e.write.waiting
			e.bell.mu.Unlock()
			if waits {
				break
			}
			time.Sleep(time.Millisecond)
		}
		close(full)
		cmd.Process.Kill()
	}()
	e.SetWriteDeadline(time.Now().Add(10 * time.Second))
	var err error
	for err == nil {
		err = e.Write(make([]byte, 5000), nil)
	}
	if !errors.Is(err, ErrPeerClosed) {
		t.Fatal(err)
	}
	<-full
}

func TestOneDescriptorPerFlow(t *testing.T) {
	count := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	before := count()
	const flows = 100
	for range flows {
		pair(t, Config{})
	}
	if n := count() - before; n > 2*flows {
		t.Errorf("%d descriptors for %d flows, both sides here", n, flows)
	}
}
