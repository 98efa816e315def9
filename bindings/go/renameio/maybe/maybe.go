// Package maybe has the function of github.com/google/renameio/v2/maybe.
package maybe

import (
	"os"

	"example.org/steadfast/renameio"
)

// WriteFile is renameio.WriteFile: atomic and durable on every platform that steadfast is for.
func WriteFile(filename string, data []byte, perm os.FileMode) error {
	return renameio.WriteFile(filename, data, perm)
}
