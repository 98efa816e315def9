package steadfast

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestDir(t *testing.T) {
	top := t.TempDir()
	inside := filepath.Join(top, "inside")
	must(t, os.Mkdir(inside, 0o700))
	must(t, os.Symlink("../outside", filepath.Join(inside, "link")))
	_, err := Save(filepath.Join(top, "outside"), []byte("not ours"))
	must(t, err)
	dir, err := OpenDir(inside)
	must(t, err)
	_, err = Save("state", []byte("x"), dir)
	must(t, err)
	must(t, SaveBatch([]Entry{{Path: "state", Data: []byte("y")}}, dir))
	state, err := Load("../inside/state", dir)
	must(t, err)
	if string(state.Data) != "y" {
		t.Fatal(string(state.Data))
	}
	length, _, err := LoadInto("state", make([]byte, 1), dir)
	if err != nil || length != 1 {
		t.Fatal(length, err)
	}
	held, err := Lock(context.Background(), "lock", dir)
	must(t, err)
	verdict, _, err := Inspect("lock", dir)
	if err != nil || verdict != StillHeld {
		t.Fatal(verdict, err)
	}
	must(t, dir.Close())
	must(t, held.Release())
	_, saveErr := Save("state", nil, dir)
	_, loadErr := Load("state", dir)
	_, _, intoErr := LoadInto("state", nil, dir)
	_, lockErr := TryLock("lock", dir)
	_, _, inspectErr := Inspect("lock", dir)
	_, _, cleanErr := CleanStale("lock", dir)
	for _, err := range []error{saveErr, loadErr, intoErr, lockErr, inspectErr, cleanErr} {
		is(t, err, fs.ErrClosed)
	}

	beneath, err := OpenDir(inside, Beneath, NoIOUring)
	must(t, err)
	defer beneath.Close()
	_, err = Save("state", []byte("z"), beneath)
	must(t, err)
	for _, path := range []string{"../outside", filepath.Join(top, "outside"), "link"} {
		_, err = Load(path, beneath)
		is(t, err, syscall.EXDEV)
		_, err = Save(path, nil, FollowSymlink(), beneath)
		is(t, err, syscall.EXDEV)
	}
	_, err = TryLock("../lock", beneath)
	is(t, err, syscall.EXDEV)
	_, err = OpenDir(filepath.Join(top, "none"))
	is(t, err, fs.ErrNotExist)
	_, err = OpenDir(filepath.Join(top, "outside"))
	is(t, err, syscall.ENOTDIR)
}
