package steadfast

import (
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

func TestMoving(t *testing.T) {
	examples := snippets(t, "moving.md")
	if len(examples) != 1 {
		t.Fatal(len(examples))
	}
	dir := t.TempDir()
	code := "package main\n\nimport \"example.org/steadfast\"\n\nfunc main() {\npath, data := \"it\", []byte(\"some text\")\n" + string(examples[0][1]) +
		"if err != nil || saved.Generation == 0 {\npanic(err)\n}\n}\n"
	said, err := runProgram(t, dir, []byte(code))
	if text, _ := os.ReadFile(filepath.Join(dir, "it")); err != nil || string(text) != "some text" {
		t.Fatalf("%v\n%s", err, said)
	}
}
