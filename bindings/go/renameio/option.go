package renameio

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"example.org/steadfast"
)

type settings struct {
	perm           os.FileMode
	ignoreUmask    bool
	static         *os.FileMode
	keepExisting   bool
	replaceOnClose bool
}

// Option is how to make a file.
type Option func(*settings)

// WithTempDir is accepted and not used: the temporary file is always in the directory of the path, where no rename can fail for
// the file system.
func WithTempDir(string) Option { return func(*settings) {} }

// WithPermissions is the mode of the file, less the umask; 0600 unless given.
func WithPermissions(perm os.FileMode) Option {
	return func(to *settings) { to.perm = perm & os.ModePerm }
}

// IgnoreUmask leaves the mode of WithPermissions as it is.
func IgnoreUmask() Option { return func(to *settings) { to.ignoreUmask = true } }

// WithStaticPermissions is the mode of the file, whatever the umask.
func WithStaticPermissions(perm os.FileMode) Option {
	perm &= os.ModePerm
	return func(to *settings) { to.static = &perm }
}

// WithExistingPermissions lets a file that is there keep its mode.
func WithExistingPermissions() Option { return func(to *settings) { to.keepExisting = true } }

// WithReplaceOnClose makes Close call CloseAtomicallyReplace.
func WithReplaceOnClose() Option { return func(to *settings) { to.replaceOnClose = true } }

// mode says which mode the file is to have, and as which option.
func (s *settings) mode(path string) (steadfast.SaveOption, error) {
	perm := s.perm
	if s.static != nil {
		perm = *s.static
	} else if !s.ignoreUmask {
		mask, err := umask()
		if err != nil {
			return nil, err
		}
		perm &^= mask
	}
	if s.keepExisting && perm != 0 {
		return steadfast.Mode(uint32(perm)), nil
	}
	return setMode(path, uint32(perm))
}

// setMode refuses 0, which is 0600 to the library.
func setMode(path string, mode uint32) (steadfast.SaveOption, error) {
	if mode == 0 {
		return nil, &fs.PathError{Op: "create", Path: path, Err: syscall.EINVAL}
	}
	return steadfast.SetMode(mode), nil
}

// umask asks the kernel, since syscall.Umask would change it for every thread for a moment.
func umask() (os.FileMode, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for _, line := range bytes.Split(status, []byte("\n")) {
		if value := bytes.TrimPrefix(line, []byte("Umask:")); len(value) != len(line) {
			mask, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 8, 32)
			return os.FileMode(mask), err
		}
	}
	return 0, errors.New("/proc/self/status has no umask, which Linux tells since 4.7: use IgnoreUmask or WithStaticPermissions")
}
