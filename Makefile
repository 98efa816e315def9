# GNU make. `make help` says what there is.

CARGO ?= cargo
ifeq ($(origin CC),default)
CC := cc
endif
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wpedantic
PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
SECONDS ?= 300
# A shell counts its own in a variable of this name.
unexport SECONDS
# Of the shell that runs this, not of the environment: cargo's output is looked for here.
TARGET := target
BUILD := build

# One version, Cargo.toml's; the ABI number is compared with the SONAME that the linker wrote.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
ABI := 0

ifeq ($(shell uname -s),Darwin)
# Written from the documentation; never run on a Mac.
SO := libsteadfast.dylib
SONAME := libsteadfast.$(ABI).dylib
SOFILE := libsteadfast.$(VERSION).dylib
STRIP := strip -x
else
SO := libsteadfast.so
SONAME := $(SO).$(ABI)
SOFILE := $(SO).$(VERSION)
STRIP := strip --strip-unneeded
endif

# Nothing is installed behind the user's back: what a recipe lacks is named, with the command that installs it. What is
# built already can be installed without them (sudo make install).
need_cargo = $(if $(shell command -v $(CARGO) 2>/dev/null),,$(error Rust is missing; install it with: curl --proto '=https' -sSf https://sh.rustup.rs | sh))
need_cc = $(if $(shell command -v $(firstword $(CC)) 2>/dev/null),,$(error a C compiler is missing; install one with: apt-get install gcc libc6-dev (Debian), dnf install gcc (Fedora), xcode-select --install (macOS)))

SOURCES := $(wildcard src/*.rs src/*/*.rs) Cargo.toml Cargo.lock build.rs
HEADER := include/steadfast.h
CLI := examples/steadfast.c $(wildcard examples/cli_*.c)
CARGO_LIB := CARGO_TARGET_DIR=$(TARGET) $(CARGO) rustc --quiet --lib --release --features capi

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all help header docs clean demo test test-deep soak bench install install-strip uninstall

all: $(BUILD)/$(SO) $(BUILD)/libsteadfast.a $(BUILD)/header-checked $(BUILD)/steadfast $(BUILD)/installed/steadfast

$(BUILD)/$(SOFILE): $(SOURCES)
	@$(need_cargo)$(need_cc)mkdir -p $(BUILD)
	$(CARGO_LIB) --crate-type cdylib
	@cp $(TARGET)/release/$(SO) $@
ifneq ($(shell uname -s),Darwin)
	@if command -v readelf >/dev/null; then readelf -d $@ | grep -q 'SONAME.*\[$(SONAME)\]' || \
	  { echo "make: the SONAME is not $(SONAME): ABI in the Makefile and build.rs differ" >&2; exit 1; }; fi
endif

$(BUILD)/$(SONAME): $(BUILD)/$(SOFILE)
	@ln -sf $(SOFILE) $@

$(BUILD)/$(SO): $(BUILD)/$(SONAME)
	@ln -sf $(SONAME) $@

# What a static link needs besides is rustc's word.
$(BUILD)/libsteadfast.a: $(SOURCES)
	@$(need_cargo)$(need_cc)mkdir -p $(BUILD)
	$(CARGO_LIB) --crate-type staticlib -- --print native-static-libs=$(abspath $(BUILD))/native-static-libs
	@cp $(TARGET)/release/libsteadfast.a $@

$(BUILD)/header-checked: $(SOURCES) $(HEADER) cbindgen.toml tests/header.rs
	@$(need_cargo)$(need_cc)mkdir -p $(BUILD)
	CARGO_TARGET_DIR=$(TARGET) $(CARGO) test --quiet --test header
	@touch $@

$(BUILD)/steadfast: $(CLI) examples/cli.h $(HEADER) $(BUILD)/$(SO)
	@$(need_cc):
	$(CC) -std=c11 $(WARNINGS) $(CFLAGS) -Iinclude $(CLI) -L$(BUILD) -lsteadfast '-Wl,-rpath,$$ORIGIN' $(LDFLAGS) -o $@

# The one that is installed: with the archive in it, so that no loader has to be told where the library went.
$(BUILD)/installed/steadfast: $(CLI) examples/cli.h $(HEADER) $(BUILD)/libsteadfast.a
	@$(need_cc)mkdir -p $(dir $@)
	$(CC) -std=c11 $(WARNINGS) $(CFLAGS) -Iinclude $(CLI) $(BUILD)/libsteadfast.a $(LDFLAGS) $$(cat $(BUILD)/native-static-libs) -o $@

$(BUILD)/demo-%: examples/demo/%.c examples/demo/demo.h $(HEADER) $(BUILD)/$(SO)
	@$(need_cc):
	$(CC) -std=c11 $(WARNINGS) $(CFLAGS) -Iinclude $< -L$(BUILD) -lsteadfast '-Wl,-rpath,$$ORIGIN' $(LDFLAGS) -o $@

DEMO := $(BUILD)/demo-crash $(BUILD)/demo-disk $(BUILD)/demo-race

demo: all $(DEMO)
	@bash examples/demo/demo.sh $(BUILD)

header:
	@$(need_cargo)$(need_cc):
	CARGO_TARGET_DIR=$(TARGET) STEADFAST_WRITE_HEADER=1 $(CARGO) test --quiet --test header

docs:
	@$(if $(shell command -v doxygen 2>/dev/null),,$(error doxygen is missing; install it with: apt-get install doxygen)):
	sh docs/doxygen/build.sh $(BUILD)/docs
	@echo "$(BUILD)/docs/html/index.html"

# Each suite ends with "N passed, N failed"; one that does not, or is not there, has failed. All are run.
SUITE := bash .ci/suite $(BUILD)
# The peers that .ci/setup puts into build/; where they are missing, the suites say so.
PEERS := env NODE_PATH=$(abspath build/node/node_modules) $(if $(wildcard build/venv/bin/python),STEADFAST_PYTHON=$(abspath build/venv/bin/python))
CTESTS := bash ctests/run.sh --lib $(BUILD) --out

test: all
	@$(need_cargo)$(need_cc)$(SUITE) --begin test
	@$(SUITE) rust env CARGO_TARGET_DIR=$(TARGET) $(CARGO) test
	@if $(CARGO) clippy --version >/dev/null 2>&1; then \
	  $(SUITE) clippy env CARGO_TARGET_DIR=$(TARGET) $(CARGO) clippy --quiet --lib -- -D warnings; \
	  $(SUITE) clippy-capi env CARGO_TARGET_DIR=$(TARGET) $(CARGO) clippy --quiet --lib --features capi -- -D warnings; \
	else echo "SKIPPED: clippy is not installed"; fi
	@$(SUITE) c-shared $(CTESTS) $(BUILD)/ctests
	@$(SUITE) c-static $(CTESTS) $(BUILD)/ctests-static --static
	@$(SUITE) cpp bash ctests/hpp/run.sh --lib $(BUILD) --out $(BUILD)/hpp --quick
	@$(SUITE) command bash tests/install-command.sh $(BUILD)
	@$(SUITE) install env MAKE='$(MAKE)' bash tests/install.sh
	@$(SUITE) --end

# Two at a time, where neither minds the other: two cores are what there is. The races and the disks have them alone.
test-deep: all
	@$(need_cc)$(SUITE) --begin test-deep
	@$(SUITE) c-absent $(CTESTS) $(BUILD)/ctests-absent --absent & \
	$(SUITE) c-dlopen $(CTESTS) $(BUILD)/ctests-dlopen --dlopen; \
	$(SUITE) c-valgrind $(CTESTS) $(BUILD)/ctests-valgrind --valgrind; wait
	@$(SUITE) race $(PEERS) bash ctests/race/run.sh --lib $(BUILD) --out $(BUILD)/race
	@$(SUITE) go bash bindings/go/run.sh --lib $(BUILD) & \
	$(SUITE) node $(PEERS) bash bindings/node/run.sh --lib $(BUILD); wait
	@$(SUITE) cpp-all bash ctests/hpp/run.sh --lib $(BUILD) --out $(BUILD)/hpp & \
	$(SUITE) python $(PEERS) bash bindings/python/test.sh --lib $(BUILD) --out $(BUILD)/python; wait
	@$(SUITE) cross $(PEERS) bash bindings/cross/run.sh --lib $(BUILD)
	@$(SUITE) dlopen-langs $(PEERS) bash examples/dlopen/run.sh --lib $(BUILD) & \
	$(SUITE) docs python3 docs/check.py --lib $(BUILD); wait
	@$(SUITE) targets bash packaging/targets/run.sh --lib $(BUILD) --target $(abspath $(TARGET)) --out $(BUILD)/targets & \
	$(SUITE) abi bash abi/check.sh $(BUILD) $(TARGET); \
	$(SUITE) packages env MAKE='$(MAKE)' bash packaging/test.sh $(BUILD) $(TARGET); wait
	@$(SUITE) asan bash proof/memory/asan.sh --build $(BUILD) --target $(TARGET) & \
	$(SUITE) fuzz bash proof/memory/fuzz.sh --build $(BUILD) --target $(TARGET); wait
	@$(SUITE) schedules bash proof/calls/run.sh schedules --lib $(BUILD) --out $(BUILD)/calls --budget 45
	@$(SUITE) blocks bash proof/blocks/run.sh --build $(BUILD) --target $(TARGET) --budget 160
	@$(SUITE) calls bash proof/calls/run.sh calls --lib $(BUILD) --out $(BUILD)/calls
	@$(SUITE) bench-smoke bash benches/smoke.sh $(BUILD)
	@$(SUITE) power bash proof/power/run.sh --lib $(BUILD) --out $(BUILD)/power --budget 150
	@$(SUITE) fuse bash proof/fuse/run.sh --lib $(BUILD) --out $(BUILD)/fuse --budget 240
	@$(SUITE) other-user bash proof/other-user/run.sh --lib $(BUILD) --out $(BUILD)/other-user --budget 90
	@$(SUITE) --end

# Everything that has a bound, as deep as the time allows, with a new seed each time: each layer for an eighth of it. What it
# takes to build comes on top. The table at the end says what was explored.
SHARE = $$(($(SECONDS) / 8 + 1))
SOAK = SUITE_LIMIT=$$(($(SECONDS) * 2 + 900)) $(SUITE)
soak: all $(DEMO)
	@$(need_cargo)$(SUITE) --begin soak
	@$(SOAK) explorer env STEADFAST_SOAK=$(SHARE) CARGO_TARGET_DIR=$(TARGET) $(CARGO) test --release --test explorer -- --nocapture
	@$(SOAK) property env PROPTEST_CASES=$$(($(SECONDS) * 20 + 256)) CARGO_TARGET_DIR=$(TARGET) $(CARGO) test --release --test property -- --nocapture
	@$(SOAK) race $(PEERS) bash ctests/race/run.sh --lib $(BUILD) --out $(BUILD)/race --seconds $(SHARE)
	@$(SOAK) crash-disk bash examples/demo/soak.sh $(BUILD) $(SHARE)
	@$(SOAK) storm bash proof/soak/run.sh --lib $(BUILD) --out $(BUILD)/soak --seconds $(SHARE)
	@$(SOAK) fuzz bash proof/memory/fuzz.sh --build $(BUILD) --target $(TARGET) --seconds $$(($(SECONDS) / 24 + 1))
	@$(SOAK) blocks bash proof/blocks/run.sh --build $(BUILD) --target $(TARGET) --soak $(SHARE)
	@$(SOAK) schedules bash proof/calls/run.sh schedules --lib $(BUILD) --out $(BUILD)/calls --soak $(SHARE)
	@$(SOAK) kernel bash proof/soak/kernel.sh --lib $(BUILD) --out $(BUILD)/kernel --seconds $(SHARE)
	@$(SOAK) power bash proof/power/run.sh --lib $(BUILD) --out $(BUILD)/power --budget $(SHARE) --cuts 1000
	@$(SUITE) --end; code=$$?; bash proof/soak/summary.sh $(BUILD); exit $$code

bench: all
	@$(need_cc)bash benches/run.sh --lib $(BUILD)

# What tells others where things are: by pkg-config and by CMake. Made anew each time, since it names the places. The CMake
# files find the header from where they lie themselves, where realpath can tell the way.
FOUND_BY := $(BUILD)/steadfast.pc $(BUILD)/steadfast-config.cmake $(BUILD)/steadfast-config-version.cmake
CMAKEDIR = $(LIBDIR)/cmake/steadfast
define fill_in
	@test -s $(BUILD)/native-static-libs
	@libs=$$(cat $(BUILD)/native-static-libs); \
	include=$$(realpath -sm --relative-to='$(CMAKEDIR)' '$(INCLUDEDIR)' 2>/dev/null || echo '$(INCLUDEDIR)'); \
	pointer=$$(printf '__SIZEOF_POINTER__\n' | $(CC) -E -P -x c -); \
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@VERSION@|$(VERSION)|' \
	  -e 's|@SOFILE@|$(SOFILE)|' -e 's|@SONAME@|$(SONAME)|' -e "s|@INCLUDE_FROM_CONFIG@|$$include|" \
	  -e "s|@POINTER_BYTES@|$$pointer|" -e "s|@LIBS_PRIVATE@|$$libs|" -e "s|@LIBS_PRIVATE_LIST@|$$(echo $$libs | tr ' ' ';')|" $< >$@
endef

$(BUILD)/steadfast.pc: steadfast.pc.in Cargo.toml $(BUILD)/libsteadfast.a FORCE
	$(fill_in)

$(BUILD)/%.cmake: packaging/cmake/%.cmake.in Cargo.toml $(BUILD)/libsteadfast.a FORCE
	$(fill_in)

FORCE:

# Manual pages, as docs/man/ has them: steadfast.1 belongs into man1.
MANUALS := $(wildcard docs/man/*.[1-8])
manual_path = '$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(1)))/$(notdir $(1))'
install_manual = install -d '$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(1)))' && install -m 644 $(1) $(call manual_path,$(1))

install: all $(FOUND_BY)
	install -d '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(CMAKEDIR)' '$(DESTDIR)$(INCLUDEDIR)' '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(COMPLETIONDIR)'
	install -m 755 $(BUILD)/$(SOFILE) '$(DESTDIR)$(LIBDIR)/$(SOFILE)'
	ln -sf $(SOFILE) '$(DESTDIR)$(LIBDIR)/$(SONAME)'
	ln -sf $(SONAME) '$(DESTDIR)$(LIBDIR)/$(SO)'
	install -m 644 $(BUILD)/libsteadfast.a '$(DESTDIR)$(LIBDIR)/libsteadfast.a'
	install -m 644 $(wildcard include/*) '$(DESTDIR)$(INCLUDEDIR)'
	install -m 644 $(BUILD)/steadfast.pc '$(DESTDIR)$(LIBDIR)/pkgconfig/steadfast.pc'
	install -m 644 $(BUILD)/steadfast-config.cmake $(BUILD)/steadfast-config-version.cmake '$(DESTDIR)$(CMAKEDIR)'
	install -m 755 $(BUILD)/installed/steadfast '$(DESTDIR)$(BINDIR)/steadfast'
	install -m 644 packaging/completion/steadfast.bash '$(DESTDIR)$(COMPLETIONDIR)/steadfast'
	@$(foreach manual,$(MANUALS),$(call install_manual,$(manual)) &&) true

install-strip: install
	$(STRIP) '$(DESTDIR)$(LIBDIR)/$(SOFILE)' '$(DESTDIR)$(BINDIR)/steadfast'

uninstall:
	rm -f '$(DESTDIR)$(LIBDIR)/$(SO)' '$(DESTDIR)$(LIBDIR)/$(SONAME)' '$(DESTDIR)$(LIBDIR)/$(SOFILE)'
	rm -f '$(DESTDIR)$(LIBDIR)/libsteadfast.a' '$(DESTDIR)$(LIBDIR)/pkgconfig/steadfast.pc'
	rm -f '$(DESTDIR)$(CMAKEDIR)/steadfast-config.cmake' '$(DESTDIR)$(CMAKEDIR)/steadfast-config-version.cmake'
	rm -f $(patsubst include/%,'$(DESTDIR)$(INCLUDEDIR)/%',$(wildcard include/*))
	rm -f '$(DESTDIR)$(BINDIR)/steadfast' '$(DESTDIR)$(COMPLETIONDIR)/steadfast' $(foreach manual,$(MANUALS),$(call manual_path,$(manual)))
	@rmdir '$(DESTDIR)$(CMAKEDIR)' 2>/dev/null || true

clean:
	rm -rf $(BUILD) $(TARGET)

help:
	@echo "make                the library (shared and static), the header check, the command build/steadfast"
	@echo "make demo           what the library promises, shown and counted, in under a minute"
	@echo "make test           Rust and C tests, the installation"
	@echo "make test-deep      C tests by dlopen, with parts of the platform missing, under valgrind; races"
	@echo "make soak           kills, faults and races for SECONDS=$(SECONDS)"
	@echo "make bench          measurements, as ratios (QUICK=1: short)"
	@echo "make header         write $(HEADER) anew from the source"
	@echo "make docs           the API reference, by doxygen, into $(BUILD)/docs/html"
	@echo "make install        PREFIX=$(PREFIX) DESTDIR= LIBDIR= INCLUDEDIR= BINDIR= MANDIR= (also install-strip, uninstall)"
	@echo "make clean          remove $(BUILD)/ and $(TARGET)/"
