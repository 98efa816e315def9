package renameio

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"example.org/steadfast"
)

// PendingFile is a temporary file that CloseAtomicallyReplace puts in the place of the path. One goroutine uses it at a time.
type PendingFile struct {
	*os.File // to write to; nobody may write to it any more when CloseAtomicallyReplace begins

	path           string
	writer         *steadfast.Writer
	replaceOnClose bool
	created        uint32 // the mode that the library gave the temporary file
	chmod          bool   // somebody has given it one
	failed         error  // of Sync, which tells an error once only
}

// TempFile is NewPendingFile with mode 0600. dir is not used.
func TempFile(dir, path string) (*PendingFile, error) {
	return NewPendingFile(path, WithTempDir(dir), WithStaticPermissions(0o600))
}

// NewPendingFile makes a temporary file beside path. Unless an option says so, its mode is 0600 less the umask, also where
// there is a file with another mode.
func NewPendingFile(path string, opts ...Option) (*PendingFile, error) {
	how := settings{perm: 0o600}
	for _, option := range opts {
		option(&how)
	}
	mode, err := how.mode(path)
	if err != nil {
		return nil, err
	}
	writer, file, err := create(path, mode)
	if err != nil {
		return nil, err
	}
	created, err := modeOf(file)
	if err != nil {
		writer.Abort()
		_ = file.Close()
		return nil, err
	}
	return &PendingFile{File: file, path: path, writer: writer, replaceOnClose: how.replaceOnClose, created: created}, nil
}

// modeOf includes the set-user-ID and set-group-ID bits.
func modeOf(file *os.File) (uint32, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Sys().(*syscall.Stat_t).Mode & 0o7777, nil
}

// create returns the writer, and its descriptor as a file.
func create(path string, mode steadfast.SaveOption) (*steadfast.Writer, *os.File, error) {
	writer, err := steadfast.Create(path, steadfast.Plain(), mode)
	if err != nil {
		return nil, nil, err
	}
	file, err := fileOf(writer, path)
	if err != nil {
		writer.Abort()
		return nil, nil, err
	}
	return writer, file, nil
}

func fileOf(writer *steadfast.Writer, path string) (*os.File, error) {
	fd, err := writer.Fd()
	if err != nil {
		return nil, err
	}
	own, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 3)
	if errno != 0 {
		return nil, &fs.PathError{Op: "create", Path: path, Err: errno}
	}
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", own))
	if err != nil {
		name = path
	}
	return os.NewFile(own, name), nil
}

// Chmod gives the file a mode. The options that do so are cheaper: CloseAtomicallyReplace copies a file that was given another mode.
func (t *PendingFile) Chmod(mode os.FileMode) error {
	err := t.File.Chmod(mode)
	t.chmod = t.chmod || err == nil
	return err
}

// Chown is an error: a file that is replaced keeps its owner and group, and a new one has those of the process.
func (t *PendingFile) Chown(_, _ int) error {
	return &fs.PathError{Op: "chown", Path: t.path, Err: syscall.ENOTSUP}
}

// Sync syncs what was written so far. After an error CloseAtomicallyReplace replaces nothing.
func (t *PendingFile) Sync() error {
	err := t.File.Sync()
	if t.failed == nil {
		t.failed = err
	}
	return err
}

// Cleanup closes and removes the temporary file. After CloseAtomicallyReplace it does nothing.
func (t *PendingFile) Cleanup() error {
	t.writer.Abort()
	_ = t.File.Close()
	return nil
}

// CloseAtomicallyReplace replaces the path by what was written, durably, and closes the file. After an error nothing is replaced, but
// for steadfast.ErrIndeterminate.
func (t *PendingFile) CloseAtomicallyReplace() error {
	defer t.File.Close()
	if t.File.Fd() == ^uintptr(0) {
		return &fs.PathError{Op: "commit", Path: t.path, Err: fs.ErrClosed}
	}
	mode, err := modeOf(t.File)
	if err != nil {
		return err
	}
	if t.failed != nil {
		return t.failed
	}
	if t.chmod || mode != t.created {
		return t.replaceWith(mode)
	}
	_, err = t.writer.Commit()
	return err
}

// replaceWith saves a copy with the mode that somebody gave the file: the mode of a writer is fixed.
func (t *PendingFile) replaceWith(mode uint32) error {
	defer t.writer.Abort()
	option, err := setMode(t.path, mode)
	if err != nil {
		return err
	}
	writer, file, err := create(t.path, option)
	if err != nil {
		return err
	}
	defer writer.Abort()
	defer file.Close()
	if _, err := t.File.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(file, t.File); err != nil {
		return err
	}
	_, err = writer.Commit()
	return err
}

// Close closes the file; the path stays as it is. With WithReplaceOnClose it is CloseAtomicallyReplace.
func (t *PendingFile) Close() error {
	if t.replaceOnClose {
		return t.CloseAtomicallyReplace()
	}
	return t.File.Close()
}
