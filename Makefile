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
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
SECONDS ?= 300
# A shell counts its own in a variable of this name.
unexport SECONDS
# Of the shell that runs this, not of the environment: cargo's output is looked for here.
TARGET := target
BUILD := build
OUT := $(BUILD)/release

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
need_cargo = $(if $(shell command -v $(CARGO) 2>/dev/null),,$(error Rust is missing; install it with: apt-get install rustup (Debian 13), dnf install rustup (Fedora), brew install rustup (macOS); others: https://rustup.rs))
need_cc = $(if $(shell command -v $(firstword $(CC)) 2>/dev/null),,$(error a C compiler is missing; install one with: apt-get install gcc libc6-dev (Debian), dnf install gcc (Fedora), xcode-select --install (macOS)))

comma := ,
# A build says in one line what each step makes. `make V=1` shows the commands, `make -s` neither.
silent := $(findstring s,$(firstword -$(MAKEFLAGS)))
Q := $(if $(V),,@)
say = @$(if $(silent),:,echo 'make: $(1)')

SOURCES := $(wildcard src/*.rs src/*/*.rs) Cargo.toml Cargo.lock build.rs .cargo/config.toml
HEADER := include/steadfast.h
CLI := $(wildcard cli/*.c)
COMPILE := $(CC) -std=c11 -pthread $(WARNINGS) $(CFLAGS) -Iinclude
# Finds the shared library beside the program.
SHARED := -L$(BUILD) -lsteadfast '-Wl,-rpath,$$ORIGIN' $(LDFLAGS)
CARGO_LIB := CARGO_TARGET_DIR=$(TARGET) $(CARGO) rustc --lib --release --no-default-features --features capi

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all help header docs clean demo lint format test test-deep soak bench dist install install-strip uninstall

all: $(BUILD)/$(SO) $(BUILD)/libsteadfast.a $(BUILD)/steadfast $(BUILD)/installed/steadfast

$(BUILD)/$(SOFILE): $(SOURCES)
	@$(need_cargo)$(need_cc)mkdir -p $(BUILD)
	$(call say,the shared library (Rust; a first build takes some seconds))
	$(Q)$(CARGO_LIB) $(if $(silent),--quiet) --crate-type cdylib
	@cp $(TARGET)/release/$(SO) $@
ifneq ($(shell uname -s),Darwin)
	@if command -v readelf >/dev/null; then readelf -d $@ | grep -q 'SONAME.*\[$(SONAME)\]' || \
	  { echo "make: the SONAME is not $(SONAME): ABI in the Makefile and build.rs differ" >&2; exit 1; }; fi
endif

$(BUILD)/$(SONAME): $(BUILD)/$(SOFILE)
	@ln -sf $(SOFILE) $@

$(BUILD)/$(SO): $(BUILD)/$(SONAME)
	@ln -sf $(SONAME) $@

# rustc says what a static link needs besides; cargo repeats that when it has nothing to do.
$(BUILD)/libsteadfast.a: $(SOURCES)
	@$(need_cargo)$(need_cc)mkdir -p $(BUILD)
	$(call say,the static library)
	$(Q)$(CARGO_LIB) --quiet --crate-type staticlib -- --print native-static-libs 2>$(BUILD)/staticlib.log || { cat $(BUILD)/staticlib.log >&2; exit 1; }
	@sed -n 's/^note: native-static-libs: //p' $(BUILD)/staticlib.log | tail -n 1 >$(BUILD)/native-static-libs
	@test -s $(BUILD)/native-static-libs || { cat $(BUILD)/staticlib.log >&2; exit 1; }
	@cp $(TARGET)/release/libsteadfast.a $@

$(BUILD)/steadfast: $(CLI) cli/cli.h $(HEADER) $(BUILD)/$(SO)
	@$(need_cc):
	$(call say,the command $@)
	$(Q)$(COMPILE) $(CLI) $(SHARED) -o $@

# The one that is installed: with the archive in it, so that no loader has to be told where the library went.
$(BUILD)/installed/steadfast: $(CLI) cli/cli.h $(HEADER) $(BUILD)/libsteadfast.a
	@$(need_cc)mkdir -p $(dir $@)
	$(call say,the command to install)
	$(Q)$(COMPILE) $(CLI) $(BUILD)/libsteadfast.a $(LDFLAGS) $$(cat $(BUILD)/native-static-libs) -o $@

$(BUILD)/demo-%: examples/demo/%.c examples/demo/demo.h $(HEADER) $(BUILD)/$(SO)
	@$(need_cc):
	$(call say,a program of the demo: $*)
	$(Q)$(COMPILE) $< $(SHARED) -o $@

DEMO := $(BUILD)/demo-crash $(BUILD)/demo-disk $(BUILD)/demo-race

demo: $(BUILD)/$(SO) $(BUILD)/steadfast $(DEMO)
	$(call say,the demo)
	@bash examples/demo/demo.sh $(BUILD)

header:
	@$(need_cargo)$(need_cc):
	$(call say,$(HEADER)$(comma) by cbindgen (Rust; the first time takes a minute))
	$(Q)CARGO_TARGET_DIR=$(TARGET) STEADFAST_WRITE_HEADER=1 $(CARGO) test --quiet --test header

docs:
	@$(if $(shell command -v doxygen 2>/dev/null),,$(error doxygen is missing; install it with: apt-get install doxygen)):
	sh docs/doxygen/build.sh $(BUILD)/docs
	@echo "$(BUILD)/docs/html/index.html"

# tools/suites says which suites these are, and tools/suite runs one. A suite ends with "N passed, N failed"; one that does
# not, or is not there, has failed. All are run.
SUITES := env BUILD='$(BUILD)' TARGET='$(TARGET)' CARGO='$(CARGO)' MAKE='$(MAKE)' bash tools/suites

lint:
	@$(need_cargo)$(need_cc)$(SUITES) $@

format:
	@env CARGO='$(CARGO)' tools/lint format $(BUILD)

test test-deep: all
	@$(need_cargo)$(need_cc)$(SUITES) $@

soak: all $(DEMO)
	@$(need_cargo)SECONDS_TO_SOAK=$(SECONDS) $(SUITES) $@

# VERSION= is compared with Cargo.toml's.
dist:
	@$(need_cargo)$(need_cc)CARGO='$(CARGO)' bash packaging/dist.sh '$(if $(filter command line,$(origin VERSION)),$(VERSION))' $(OUT)

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
	install -d '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(CMAKEDIR)' '$(DESTDIR)$(INCLUDEDIR)' '$(DESTDIR)$(BINDIR)'
	install -d '$(DESTDIR)$(COMPLETIONDIR)' '$(DESTDIR)$(ZSHDIR)' '$(DESTDIR)$(FISHDIR)'
	install -m 755 $(BUILD)/$(SOFILE) '$(DESTDIR)$(LIBDIR)/$(SOFILE)'
	ln -sf $(SOFILE) '$(DESTDIR)$(LIBDIR)/$(SONAME)'
	ln -sf $(SONAME) '$(DESTDIR)$(LIBDIR)/$(SO)'
	install -m 644 $(BUILD)/libsteadfast.a '$(DESTDIR)$(LIBDIR)/libsteadfast.a'
	install -m 644 $(wildcard include/*) '$(DESTDIR)$(INCLUDEDIR)'
	install -m 644 $(BUILD)/steadfast.pc '$(DESTDIR)$(LIBDIR)/pkgconfig/steadfast.pc'
	install -m 644 $(BUILD)/steadfast-config.cmake $(BUILD)/steadfast-config-version.cmake '$(DESTDIR)$(CMAKEDIR)'
	install -m 755 $(BUILD)/installed/steadfast '$(DESTDIR)$(BINDIR)/steadfast'
	install -m 644 cli/completion/steadfast.bash '$(DESTDIR)$(COMPLETIONDIR)/steadfast'
	install -m 644 cli/completion/_steadfast '$(DESTDIR)$(ZSHDIR)/_steadfast'
	install -m 644 cli/completion/steadfast.fish '$(DESTDIR)$(FISHDIR)/steadfast.fish'
	@$(foreach manual,$(MANUALS),$(call install_manual,$(manual)) &&) true

install-strip: install
	$(STRIP) '$(DESTDIR)$(LIBDIR)/$(SOFILE)' '$(DESTDIR)$(BINDIR)/steadfast'

uninstall:
	rm -f '$(DESTDIR)$(LIBDIR)/$(SO)' '$(DESTDIR)$(LIBDIR)/$(SONAME)' '$(DESTDIR)$(LIBDIR)/$(SOFILE)'
	rm -f '$(DESTDIR)$(LIBDIR)/libsteadfast.a' '$(DESTDIR)$(LIBDIR)/pkgconfig/steadfast.pc'
	rm -f '$(DESTDIR)$(CMAKEDIR)/steadfast-config.cmake' '$(DESTDIR)$(CMAKEDIR)/steadfast-config-version.cmake'
	rm -f $(patsubst include/%,'$(DESTDIR)$(INCLUDEDIR)/%',$(wildcard include/*))
	rm -f '$(DESTDIR)$(COMPLETIONDIR)/steadfast' '$(DESTDIR)$(ZSHDIR)/_steadfast' '$(DESTDIR)$(FISHDIR)/steadfast.fish'
	rm -f '$(DESTDIR)$(BINDIR)/steadfast' $(foreach manual,$(MANUALS),$(call manual_path,$(manual)))
	@rmdir '$(DESTDIR)$(CMAKEDIR)' 2>/dev/null || true

clean:
	rm -rf $(BUILD) $(TARGET)

help:
	@echo "make                the library (shared and static) and the command build/steadfast (V=1: show the commands)"
	@echo "make demo           what the library promises, shown and counted, in under a minute"
	@echo "make lint           format and static checks of every language (.ci/setup installs the tools)"
	@echo "make format         write every source in its form"
	@echo "make test           Rust and C tests, the header, the command, the installation"
	@echo "make test-deep      C tests by dlopen, with parts of the platform missing, under valgrind; races"
	@echo "make soak           kills, faults and races for SECONDS=$(SECONDS)"
	@echo "make bench          measurements, as ratios (QUICK=1: short)"
	@echo "make dist           a release from the committed tree into $(OUT)/: VERSION=$(VERSION)"
	@echo "make header         write $(HEADER) anew from the source"
	@echo "make docs           the API reference, by doxygen, into $(BUILD)/docs/html"
	@echo "make install        PREFIX=$(PREFIX) DESTDIR= LIBDIR= INCLUDEDIR= BINDIR= MANDIR= (also install-strip, uninstall)"
	@echo "make clean          remove $(BUILD)/ and $(TARGET)/"
