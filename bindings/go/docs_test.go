package steadfast

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

func snippets(t *testing.T, page string) [][][]byte {
	text, err := os.ReadFile("../../docs/" + page)
	must(t, err)
	return regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(text, -1)
}

// A program in a directory of its own: what it prints.
func runProgram(t *testing.T, dir string, code []byte) ([]byte, error) {
	here, err := filepath.Abs(".")
	must(t, err)
	module := "module app\n\ngo 1.19\n\nrequire example.org/steadfast v0.0.0\n\nreplace example.org/steadfast => " + here + "\n"
	must(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(module), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "main.go"), code, 0o600))
	run := exec.Command("go", "run", ".")
	run.Dir = dir
	return run.CombinedOutput()
}

// Each example of docs/go.md is a program; what it prints stands in its comments, after "prints ".
func TestDocs(t *testing.T) {
	examples := snippets(t, "go.md")
	if len(examples) < 2 {
		t.Fatal(len(examples))
	}
	for _, snippet := range examples {
		said, err := runProgram(t, t.TempDir(), snippet[1])
		promised := ""
		for _, line := range regexp.MustCompile("(?m)// prints (.*)$").FindAllSubmatch(snippet[1], -1) {
			promised += string(line[1]) + "\n"
		}
		if err != nil || promised == "" || string(said) != promised {
			t.Errorf("%v\n%s\npromised was\n%s", err, said, promised)
		}
	}
}

// Both columns of the table in docs/moving.md: each call in an empty directory, beside files that are being written.
func TestMoving(t *testing.T) {
	text, err := os.ReadFile("../../docs/moving.md")
	must(t, err)
	rows := regexp.MustCompile("(?m)^\\| `(.*(?:renameio\\.|t\\.).*)` \\| `(.*)` \\|$").FindAllSubmatch(text, -1)
	if len(rows) < 14 {
		t.Fatal(len(rows))
	}
	code := `package main

import (
	"fmt"
	"os"

	"example.org/steadfast"
	"example.org/steadfast/renameio"
)

func try(cell string, call func(path string, data []byte, t *renameio.PendingFile, w *steadfast.Writer) error) {
	directory, err := os.MkdirTemp(".", "cell")
	if err == nil {
		err = os.Chdir(directory)
	}
	if err != nil {
		panic(err)
	}
	t, err := renameio.NewPendingFile("t")
	if err != nil {
		panic(err)
	}
	w, err := steadfast.Create("w", steadfast.Plain())
	if err != nil {
		panic(err)
	}
	fmt.Println(cell, call("it", []byte("some text"), t, w))
	if err := os.Chdir(".."); err != nil {
		panic(err)
	}
}

func main() {
`
	promised := ""
	for _, row := range rows {
		for _, cell := range row[1:] {
			code += fmt.Sprintf("try(%q, func(path string, data []byte, t *renameio.PendingFile, w *steadfast.Writer) (err error) {\n%s\nreturn err\n})\n",
				cell, cell)
			promised += string(cell) + " <nil>\n"
		}
	}
	if said, err := runProgram(t, t.TempDir(), []byte(code+"}\n")); err != nil || string(said) != promised {
		t.Errorf("%v\n%s\npromised was\n%s", err, said, promised)
	}
}
