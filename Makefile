# gpuvm, one command each:
#
#   make                 the program gpuvm and the C library libgpuvm
#   make run             replays a recorded session of the NVK driver (TRACES=…) and reports
#   make test            every test
#   make fresh           `make run`, then `make test` without what takes long, in a fresh clone in a bare Debian 13 (as root)
#   make nvk             NVK, Mesa's Vulkan driver, on build/libgpuvm-drm-shim.so (as root, or where NVK is installed)
#   make bench           ns per operation beside the kernel's code and other peers in the same run (QUICK=1: 2 minutes)
#   make differ          random requests to this library and to the kernel's own code, every result compared
#   make fuzz            fuzz targets over page tables, the VA space and pushes (SECONDS=60 each)
#   make fuzz-ioctl      streams of ioctls on the device, with AddressSanitizer (SECONDS=60, SEED=…)
#   make install         headers, libgpuvm and gpuvm.pc to PREFIX=/usr/local (DESTDIR=…); needs no Swift
#   make install-nouveau the simulated device for C programs: <gpuvm/nouveau.h>, libgpuvm-nouveau, gpuvm-nouveau.pc
#   make shim            build/libgpuvm-drm-shim.so, for `gpuvm run`: programs see the simulated GPU
#   make clean           removes what was built
#
# What needs Swift installs what is missing, with apt, as root or by sudo. CC and CFLAGS are for the C library.

PREFIX  ?= /usr/local
CC      ?= cc
CFLAGS  ?= -O3 -g
TRACES  ?= Tests/Traces/sparse_buf-0x172.jsonl.gz

# Where toolchains lie that are not on everybody's PATH; a home for SwiftPM's caches where there is none.
export PATH := $(PATH):/opt/swift/usr/bin:/usr/libexec/swift/bin
ifeq ($(strip $(HOME)),)
export HOME := $(shell getent passwd "$$(id -u)" | cut -d: -f6)
endif

all: program library
help:
	@sed -n '/^#   make/s/^#   //p' Makefile

program: setup
	swift build -c release --product gpuvm </dev/null

run: program
	.build/release/gpuvm replay $(TRACES) </dev/null

test: setup
	@tools/test

fresh:
	@tools/fresh run test

# The programs of Tests/Vulkan, on one chipset a generation; LONG=1: on all.
nvk: shim
	@tools/nvk

setup:
	@tools/setup

# Runs each fuzz target for SECONDS; needs a clang with libFuzzer (Swift's toolchains have one).
fuzz:
	$(MAKE) -s -j2 -f Tests/Fuzz/Makefile

# What is wrong is said with the seed of its stream: `make fuzz-ioctl SEED=…` begins with that one.
fuzz-ioctl: setup
	swift build --product FuzzIoctl --sanitize address --scratch-path .build/asan $(ubsan) </dev/null
	.build/asan/debug/FuzzIoctl $(SECONDS) $(SEED)
fuzz-ioctl: SECONDS ?= 60
# The C parts with the sanitizer of undefined behaviour too; swiftc has none.
ubsan := -Xcc -fsanitize=undefined -Xcc -fno-sanitize-recover=undefined

# Each workload beside the kernel's own code, other data structures and limit loops, as far as they are to be had.
# QUICK=1: fewer and smaller, in two minutes. Writes build/bench.json, and build/bench.svg: cost against N.
# INSTRUCTIONS=1: counts instructions instead, by callgrind.
bench: setup
	@bench/setup
	@$(MAKE) -s library
	@$(MAKE) -s -f bench/Makefile CC='$(CC)' $(if $(INSTRUCTIONS),instructions,run)

# The kernel's own code as an oracle: REQUESTS to the VA space, OPERATIONS on the page tables of each format.
differ:
	@$(MAKE) -s library
	@$(MAKE) -s -f bench/Makefile CC='$(CC)' differ

clean:
	rm -rf build .build

# ---- the C library: CGPUVM, CNVMMU and CNVEngine, without Swift ----------------------------------------------------

parts    := CGPUVMBase CGPUVM CNVMMU CNVEngine
objects  := $(patsubst CSources/%.c,build/lib/%.o,$(wildcard $(parts:%=CSources/%/*.c)))
headers  := $(wildcard $(parts:%=CSources/%/include/*/*.h))
version  := $(shell sed -n 's/^\#define GPUVM_VERSION_[MP][A-Z]* //p' CSources/CGPUVMBase/include/gpuvm/base.h | paste -sd.)
soname   := libgpuvm.so.$(firstword $(subst ., ,$(version)))
compile  := $(CC) -std=c17 -fPIC -Wall -Wextra $(parts:%=-ICSources/%/include) $(CPPFLAGS) $(CFLAGS)

library: build/lib/libgpuvm.a build/lib/$(soname)

build/lib/libgpuvm.a: $(objects)
	rm -f $@
	$(AR) rcs $@ $^

build/lib/$(soname): $(objects) CSources/libgpuvm.map
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,$(soname) -Wl,--version-script=CSources/libgpuvm.map \
		-Wl,-z,defs -o $@ $(objects)

build/lib/%.o: CSources/%.c build/lib/command
	@mkdir -p $(@D)
	$(compile) -MMD -MP -c -o $@ $<

# Changes when the compiler or its flags do, so that everything is compiled again.
build/lib/command: FORCE
	@mkdir -p $(@D)
	@echo '$(compile)' | cmp -s - $@ || echo '$(compile)' >$@

-include $(objects:.o=.d)

to     = $(DESTDIR)$(abspath $(PREFIX))
install: library
	install -d $(to)/include/gpuvm $(to)/include/nvmmu $(to)/include/nvengine $(to)/lib/pkgconfig
	$(foreach h,$(headers),install -m 644 $(h) $(to)/include/$(notdir $(patsubst %/,%,$(dir $(h)))) &&) :
	install -m 644 build/lib/libgpuvm.a $(to)/lib
	install -m 755 build/lib/$(soname) $(to)/lib/libgpuvm.so.$(version)
	ln -sf libgpuvm.so.$(version) $(to)/lib/$(soname)
	ln -sf $(soname) $(to)/lib/libgpuvm.so
	sed 's|@PREFIX@|$(abspath $(PREFIX))|; s|@VERSION@|$(version)|' CSources/gpuvm.pc.in >$(to)/lib/pkgconfig/gpuvm.pc
	[ -n '$(DESTDIR)' ] || [ "$$(id -u)" != 0 ] || ldconfig

# ---- libgpuvm-nouveau: the device for C programs, with the Swift runtime in it ----------------------------

nouveau := libgpuvm-nouveau.so.$(firstword $(subst ., ,$(version)))
nouveau: setup
	swift build -c release --product NouveauC </dev/null
	tools/link-library NouveauC CSources/libgpuvm-nouveau.map build/lib/$(nouveau)

install-nouveau: nouveau
	install -d $(to)/include/gpuvm $(to)/lib/pkgconfig
	install -m 644 CSources/CNouveauC/include/gpuvm/nouveau.h $(to)/include/gpuvm
	install -m 755 build/lib/$(nouveau) $(to)/lib/libgpuvm-nouveau.so.$(version)
	ln -sf libgpuvm-nouveau.so.$(version) $(to)/lib/$(nouveau)
	ln -sf $(nouveau) $(to)/lib/libgpuvm-nouveau.so
	sed 's|@PREFIX@|$(abspath $(PREFIX))|; s|@VERSION@|$(version)|' CSources/gpuvm-nouveau.pc.in \
		>$(to)/lib/pkgconfig/gpuvm-nouveau.pc
	[ -n '$(DESTDIR)' ] || [ "$$(id -u)" != 0 ] || ldconfig

# ---- libgpuvm-drm-shim.so: preloaded, it shows a program the simulated GPU -------------------------------------

shim: setup
	swift build -c release --product DRMShim </dev/null
	tools/link-library DRMShim CSources/libgpuvm-drm-shim.map build/libgpuvm-drm-shim.so

FORCE:
.PHONY: all help program run test fresh setup nvk fuzz fuzz-ioctl bench differ clean library install nouveau
.PHONY: install-nouveau shim FORCE
.DELETE_ON_ERROR:
