package renameio_test

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"example.org/steadfast"
	"example.org/steadfast/internal/expect"
	"example.org/steadfast/renameio"
	"example.org/steadfast/renameio/maybe"
)

var (
	must = expect.NoError
	is   = expect.Error
)

// holds also says that nothing else is in the directory.
func holds(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	info, err := os.Lstat(path)
	must(t, err)
	if string(data) != text || info.Mode() != mode {
		t.Fatalf("%q with mode %v, not %q with mode %v", data, info.Mode(), text, mode)
	}
	alone(t, path)
}

func alone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	for _, entry := range entries {
		if entry.Name() != filepath.Base(path) {
			t.Fatal("left: ", entry.Name())
		}
	}
}

func withUmask(t *testing.T, mask int) {
	before := syscall.Umask(mask)
	t.Cleanup(func() {
		if now := syscall.Umask(before); now != mask {
			t.Errorf("the umask became %o", now)
		}
	})
}

func fileWithMode(t *testing.T, mode os.FileMode) string {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	must(t, os.Chmod(path, mode))
	return path
}

func TestWriteFile(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077} {
		for _, perm := range []os.FileMode{0o644, 0o755, 0o400} {
			t.Run(fmt.Sprintf("%o/%o", mask, perm), func(t *testing.T) {
				withUmask(t, mask)
				path := filepath.Join(t.TempDir(), "file")
				must(t, renameio.WriteFile(path, []byte("new"), perm))
				holds(t, path, "new", perm&^os.FileMode(mask))
				must(t, renameio.WriteFile(path, []byte("newer"), perm, renameio.IgnoreUmask()))
				holds(t, path, "newer", perm&^os.FileMode(mask))
				must(t, os.Remove(path))
				must(t, maybe.WriteFile(path, nil, perm))
				holds(t, path, "", perm&^os.FileMode(mask))
			})
		}
	}
	withUmask(t, 0o077)
	path := fileWithMode(t, 0o654)
	must(t, renameio.WriteFile(path, []byte("new"), 0o600))
	holds(t, path, "new", 0o654)
	must(t, os.Remove(path))
	must(t, renameio.WriteFile(path, []byte("new"), 0o765, renameio.IgnoreUmask()))
	holds(t, path, "new", 0o765)
}

// What renameio does not promise.
func TestIsVerified(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, nil, 0o600))
	if syscall.Setxattr(path, "user.probe", []byte("1"), 0) != nil {
		t.Skip("no extended attributes here")
	}
	must(t, renameio.WriteFile(path, []byte("new"), 0o600))
	state, err := steadfast.Load(path, steadfast.Plain(), steadfast.Verified())
	must(t, err)
	if string(state.Data) != "new" {
		t.Fatal(string(state.Data))
	}
}

func TestPermissions(t *testing.T) {
	withUmask(t, 0o027)
	tests := map[string]struct {
		options            []renameio.Option
		created, overwrote os.FileMode
	}{
		"defaults":            {nil, 0o600, 0o600},
		"with a directory":    {[]renameio.Option{renameio.WithTempDir("/no/such")}, 0o600, 0o600},
		"permissions":         {[]renameio.Option{renameio.WithPermissions(0o666)}, 0o640, 0o640},
		"without umask":       {[]renameio.Option{renameio.IgnoreUmask(), renameio.WithPermissions(0o666)}, 0o666, 0o666},
		"static":              {[]renameio.Option{renameio.WithStaticPermissions(0o612)}, 0o612, 0o612},
		"static before umask": {[]renameio.Option{renameio.WithStaticPermissions(0o612), renameio.WithPermissions(0o777)}, 0o612, 0o612},
		"existing":            {[]renameio.Option{renameio.WithExistingPermissions()}, 0o600, 0o754},
		"existing or given":   {[]renameio.Option{renameio.WithExistingPermissions(), renameio.WithPermissions(0o666)}, 0o640, 0o754},
		"existing or static":  {[]renameio.Option{renameio.WithStaticPermissions(0o444), renameio.WithExistingPermissions()}, 0o444, 0o754},
		"permission bits":     {[]renameio.Option{renameio.WithStaticPermissions(os.ModeDir | 0o640)}, 0o640, 0o640},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			replace(t, path, "one", test.options...)
			holds(t, path, "one", test.created)
			must(t, os.Chmod(path, 0o754))
			replace(t, path, "two", test.options...)
			holds(t, path, "two", test.overwrote)
		})
	}
}

func replace(t *testing.T, path, text string, options ...renameio.Option) {
	t.Helper()
	pending, err := renameio.NewPendingFile(path, options...)
	must(t, err)
	_, err = pending.WriteString(text)
	must(t, err)
	must(t, pending.CloseAtomicallyReplace())
	must(t, pending.Cleanup())
}

func TestTempFile(t *testing.T) {
	withUmask(t, 0o377)
	path := fileWithMode(t, 0o644)
	pending, err := renameio.TempFile(renameio.TempDir(filepath.Dir(path)), path)
	must(t, err)
	defer pending.Cleanup()
	if _, err := os.Stat(pending.Name()); err != nil || filepath.Dir(pending.Name()) != filepath.Dir(path) {
		t.Fatal(pending.Name(), err)
	}
	// All that a file can do.
	_, err = io.Copy(pending, strings.NewReader("newer and more"))
	must(t, err)
	must(t, pending.Truncate(6))
	_, err = pending.WriteAt([]byte("NEW"), 0)
	must(t, err)
	_, err = pending.Seek(0, io.SeekEnd)
	must(t, err)
	_, err = fmt.Fprint(pending, "!")
	must(t, err)
	must(t, pending.Sync())
	if data, err := os.ReadFile(path); err != nil || string(data) != "old" {
		t.Fatal(string(data), err)
	}
	must(t, pending.CloseAtomicallyReplace())
	holds(t, path, "NEWer !", 0o600)
	_, err = pending.Write(nil)
	is(t, err, fs.ErrClosed)
	is(t, pending.CloseAtomicallyReplace(), fs.ErrClosed)
	must(t, pending.Cleanup())
}

func TestCleanup(t *testing.T) {
	path := fileWithMode(t, 0o640)
	pending, err := renameio.TempFile("", path)
	must(t, err)
	_, err = pending.WriteString("new")
	must(t, err)
	for range [3]int{} {
		must(t, pending.Cleanup())
	}
	is(t, pending.CloseAtomicallyReplace(), fs.ErrClosed)
	holds(t, path, "old", 0o640)
}

func TestClose(t *testing.T) {
	path := fileWithMode(t, 0o640)
	pending, err := renameio.NewPendingFile(path)
	must(t, err)
	must(t, pending.Close())
	is(t, pending.CloseAtomicallyReplace(), fs.ErrClosed)
	must(t, pending.Cleanup())
	holds(t, path, "old", 0o640)

	pending, err = renameio.NewPendingFile(path, renameio.WithReplaceOnClose(), renameio.WithExistingPermissions())
	must(t, err)
	_, err = pending.WriteString("new")
	must(t, err)
	var closer io.Closer = pending
	must(t, closer.Close())
	must(t, pending.Cleanup())
	holds(t, path, "new", 0o640)
}

func TestChmod(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o600, os.ModeSetuid | 0o755} {
		path := fileWithMode(t, 0o644)
		pending, err := renameio.NewPendingFile(path, renameio.WithStaticPermissions(0o666))
		must(t, err)
		_, err = pending.WriteString("new")
		must(t, err)
		must(t, pending.Chmod(mode))
		must(t, pending.CloseAtomicallyReplace())
		must(t, pending.Cleanup())
		holds(t, path, "new", mode)
	}
	path := fileWithMode(t, 0o644)
	pending, err := renameio.TempFile("", path)
	must(t, err)
	is(t, pending.Chown(1, 1), syscall.ENOTSUP)
	must(t, pending.Chmod(0))
	is(t, pending.CloseAtomicallyReplace(), syscall.EINVAL)
	must(t, pending.Cleanup())
	holds(t, path, "old", 0o644)
	// By the embedded file.
	pending, err = renameio.NewPendingFile(path, renameio.WithPermissions(0o640))
	must(t, err)
	must(t, pending.File.Chmod(0o666))
	must(t, pending.CloseAtomicallyReplace())
	holds(t, path, "", 0o666)
}

// As after a failed fsync, which the kernel tells once only.
func TestFailedSync(t *testing.T) {
	path := fileWithMode(t, 0o644)
	pending, err := renameio.TempFile("", path)
	must(t, err)
	reader, pipe, err := os.Pipe()
	must(t, err)
	defer reader.Close()
	defer pipe.Close()
	file := pending.File
	pending.File = pipe
	is(t, pending.Sync(), syscall.EINVAL)
	pending.File = file
	must(t, pending.Sync())
	is(t, pending.CloseAtomicallyReplace(), syscall.EINVAL)
	must(t, pending.Cleanup())
	holds(t, path, "old", 0o644)
}

func TestErrors(t *testing.T) {
	directory := t.TempDir()
	is(t, renameio.WriteFile(filepath.Join(directory, "no/file"), nil, 0o600), fs.ErrNotExist)
	_, err := renameio.TempFile("", filepath.Join(directory, "no/file"))
	is(t, err, syscall.ENOENT)
	is(t, renameio.WriteFile(filepath.Join(directory, "zero"), nil, 0), syscall.EINVAL)
	link := filepath.Join(directory, "link")
	must(t, os.Symlink("elsewhere", link))
	is(t, renameio.WriteFile(link, nil, 0o600), steadfast.ErrSymlink)
	alone(t, link)
}

func TestManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	first, err := renameio.TempFile("", path)
	must(t, err)
	replace(t, path, "second")
	_, err = first.WriteString("first")
	must(t, err)
	must(t, first.CloseAtomicallyReplace())
	holds(t, path, "first", 0o600)
	var all sync.WaitGroup
	for range [8]int{} {
		all.Add(1)
		go func() {
			defer all.Done()
			for range [10]int{} {
				if err := renameio.WriteFile(path, []byte("whole"), 0o600); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	holds(t, path, "whole", 0o600)
}

func TestSymlink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "link")
	for _, target := range []string{"one", "two"} {
		must(t, renameio.Symlink(target, path))
		if got, err := os.Readlink(path); err != nil || got != target {
			t.Fatal(got, err)
		}
		alone(t, path)
	}
	must(t, os.Remove(path))
	must(t, os.Mkdir(path, 0o700))
	is(t, renameio.Symlink("three", path), fs.ErrExist)
	alone(t, path)
	is(t, renameio.Symlink("one", filepath.Join(path, "no/link")), fs.ErrNotExist)
}
