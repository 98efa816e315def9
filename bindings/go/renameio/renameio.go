// Package renameio has the functions, types and options of github.com/google/renameio/v2, over steadfast: programs move by
// changing the import. A file holds what was written and nothing else, and is durable, not only atomic: the directory is synced as
// well, and an extended attribute verifies the file, so that steadfast.Load(path, steadfast.Plain()) can tell damage.
//
// What differs: a symbolic link at the path is steadfast.ErrSymlink and is not replaced. The temporary file is always in the
// directory of the path, and the next save at that path removes what a killed process has left. A file that is replaced keeps
// its owner, group and access ACL. If another process is saving at the same path, CloseAtomicallyReplace waits for it. A failed sync
// of the file is an error and replaces nothing; a failed sync of the directory is no error.
package renameio

import (
	"errors"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
)

// TempDir returns dest: the temporary file is always in the directory of the path.
func TempDir(dest string) string { return dest }

// WriteFile replaces the file atomically and durably. A new file has the mode perm less the umask; one that is there keeps its own.
func WriteFile(filename string, data []byte, perm os.FileMode, opts ...Option) error {
	pending, err := NewPendingFile(filename, append([]Option{WithPermissions(perm), WithExistingPermissions()}, opts...)...)
	if err != nil {
		return err
	}
	defer pending.Cleanup()
	if _, err := pending.Write(data); err != nil {
		return err
	}
	return pending.CloseAtomicallyReplace()
}

// Symlink is os.Symlink, but that it replaces what is at newname, atomically. It is no more durable than os.Symlink.
func Symlink(oldname, newname string) error {
	err := os.Symlink(oldname, newname)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	for try := 0; ; try++ {
		name := "." + filepath.Base(newname) + strconv.FormatUint(rand.Uint64(), 36)
		temporary := filepath.Join(filepath.Dir(newname), name)
		err := os.Symlink(oldname, temporary)
		if errors.Is(err, fs.ErrExist) && try < 100 {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.Rename(temporary, newname); err != nil {
			_ = os.Remove(temporary)
			return err
		}
		return nil
	}
}
