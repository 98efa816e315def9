package steadfast

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"example.org/steadfast/internal/expect"
)

var (
	must = expect.NoError
	is   = expect.Error
)

func TestErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	_, err := Load(path)
	is(t, err, fs.ErrNotExist)
	is(t, err, syscall.ENOENT)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrDigest) {
		t.Fatal(err)
	}
	var pathError *fs.PathError
	var own *Error
	if !errors.As(err, &pathError) || pathError.Path != path || pathError.Op != "load" {
		t.Fatal(err)
	}
	if !errors.As(err, &own) || own.Status.Name() != "ENOENT" || own.Errno != syscall.ENOENT || own.Message == "" {
		t.Fatal(err)
	}

	_, err = Save(path, []byte("hello"))
	must(t, err)
	file, err := os.ReadFile(path)
	must(t, err)
	file[len(file)-1] ^= 1
	must(t, os.WriteFile(path, file, 0o600))
	_, err = Load(path)
	is(t, err, ErrDigest)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrEmpty) {
		t.Fatal(err)
	}
}

// What portable code asks for: the causes are found, and a code is not taken for the errno of its cause.
func TestErrorsOfOthers(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "state")
	fails := func(call Call, errno syscall.Errno, options ...SaveOption) error {
		t.Helper()
		faults, err := Failing(call, 1, errno, true)
		must(t, err)
		defer faults.Close()
		_, err = Save(path, nil, append(options, faults)...)
		is(t, err, errno)
		return err
	}
	is(t, fails(Openat, syscall.EPERM), fs.ErrPermission)
	err := fails(Openat, syscall.EACCES)
	is(t, err, fs.ErrPermission)
	var errno syscall.Errno
	if !errors.As(err, &errno) || errno != syscall.EACCES {
		t.Fatal(err, errno)
	}
	err = fails(Fsync, syscall.EIO, Strict())
	is(t, err, ErrNotSavedDurably)
	var status Status
	if !errors.As(err, &status) || status != ErrNotSavedDurably {
		t.Fatal(err)
	}

	held, err := TryLock(filepath.Join(directory, "lock"))
	must(t, err)
	defer held.Release()
	_, err = TryLock(held.Path())
	is(t, err, os.ErrDeadlineExceeded)
	is(t, err, syscall.ETIMEDOUT)
	if !os.IsTimeout(err) {
		t.Fatal(err)
	}
	must(t, os.Symlink("elsewhere", filepath.Join(directory, "link")))
	_, err = Save(filepath.Join(directory, "link"), nil)
	is(t, err, syscall.ELOOP)
	_, err = Save(path, []byte("long"))
	must(t, err)
	_, err = Load(path, MaxLen(1))
	is(t, err, syscall.EFBIG)
	is(t, ErrUnsupported, syscall.ENOTSUP)

	// The previous generation is there: this is not the first start.
	_, err = Save(path, nil, KeepPrevious())
	must(t, err)
	must(t, os.Remove(path))
	_, err = Load(path)
	is(t, err, ErrLost)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestNULInAPathIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	bad := path + "\x00y"
	_, saveErr := Save(bad, nil)
	_, loadErr := Load(bad)
	_, _, intoErr := LoadInto(bad, nil)
	_, lockErr := Lock(context.Background(), bad)
	_, tryErr := TryLock(bad)
	_, _, cleanErr := CleanStale(bad)
	_, _, inspectErr := Inspect(bad)
	batchErr := SaveBatch([]Entry{{Path: bad}})
	for _, err := range []error{saveErr, loadErr, intoErr, lockErr, tryErr, cleanErr, inspectErr, batchErr} {
		is(t, err, syscall.EINVAL)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("the path was cut")
	}
}
