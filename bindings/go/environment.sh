# shellcheck shell=bash
# Sourced: go_environment BUILD WORK makes cgo use the library of BUILD, as if it were installed. What Go leaves behind goes
# into WORK and into BUILD/go-cache; the user's caches are left alone, and nothing is downloaded.
go_environment() {
    cat >"$2/steadfast.pc" <<PC
Name: steadfast
Description: the build that is tested
Version: 0
Libs: -L$1 -lsteadfast
Cflags: -I$(cd "$(dirname "${BASH_SOURCE[0]}")/../../include" && pwd)
PC
    export PKG_CONFIG_PATH=$2 LD_LIBRARY_PATH=$1 GOPATH=$2/go GOCACHE=$1/go-cache
    export GOPROXY=off GOFLAGS=-mod=mod GOTOOLCHAIN=local
}
