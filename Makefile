# SPDX-License-Identifier: GPL-2.0
#
# What a person types. The module itself is built by module/Kbuild; what these
# targets do is done by scripts/ and tests/, which can be called directly too.

# 5.10, 6.1, 6.12 or 7.3: the stock Debian cloud kernel of that series. The last three
# with -treated: one that is built here from Debian's source and kpatch/. Or with
# -plain: built alike, without the patch. Both also with -kasan, -pagealloc or -kcsan.
# Or a release (uname -r) that one of Debian's suites still has.
KERNEL ?= 6.1

# What a kernel that is built here needs besides.
KERNEL_DEPS = $(if $(findstring -,$(filter-out %-amd64,$(KERNEL))),kernel)

# What bench measures (all cases if empty), how often, and how many guests run at a time
# in cases that stand it.
CASE ?=
ROUNDS ?= 3
JOBS ?= 1

# How long test-rare goes on.
RARE_SECONDS ?= 1200

# The replay has the module's own policy, with the unit tests' stand-ins for kernel headers.
REPLAY_SOURCES = $(wildcard tools/replay/*.c) module/policy.c module/window_min.c
REPLAY_HEADERS = $(wildcard tools/replay/*.h tests/unit/shim/linux/*.h) \
	module/policy.h module/window_min.h
REPLAY_FLAGS = -std=gnu11 -O2 -g -Wall -Wextra -Werror -I tests/unit/shim -iquote module

.DEFAULT_GOAL := help
.PHONY: help demo test test-debug test-rare test-all bench bench-quick check replay module kernel dist deb \
	dkms-install dkms-remove clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo "  KERNEL=$(KERNEL)         which kernel demo, module and kernel use. Stock: 5.10 6.1 6.12 7.3"
	@echo "                    Built here: 6.12-treated (patched), 6.12-plain; 6.1 and 7.3 alike;"
	@echo "                    to find mistakes: 6.12-treated-kasan, -pagealloc, -kcsan. Or a"
	@echo "                    release that Debian still has: 6.12.95+deb12-cloud-amd64"
	@echo "  CASE= ROUNDS=$(ROUNDS) JOBS=$(JOBS) what bench measures: release churn window ramp cache faults"
	@echo "                    scale orders traces (all if empty), how often, and guests at a time"

demo: ## show freed guest memory go back to the host, with aerator and without
	@scripts/deps module guest demo $(KERNEL_DEPS)
	@scripts/module $(KERNEL) >/dev/null
	@scripts/demo --kernel $(KERNEL)

test: ## run the tests, in guests and without (KTAP, then "N passed, N failed")
	@scripts/deps module kernel guest check cross libvirt deb disk
	@tests/run

test-debug: ## run those on a kernel that looks for mistakes: KASAN, lockdep and others
	@scripts/deps module kernel guest
	@tests/run --debug

test-rare: ## run what both leave out, another part for each commit, for RARE_SECONDS
	@scripts/deps module kernel guest check cross clang libvirt deb disk firmware
	@tests/run --rare $(RARE_SECONDS)

test-all: ## run both, and what takes long or needs more kernels that are built here (hours)
	@scripts/deps module kernel guest check cross clang libvirt deb disk firmware
	@tests/run --all

bench: ## measure aerator and its rivals, side by side (hours; CASE=churn: one)
	@scripts/deps module kernel guest bench
	@scripts/bench $(CASE) --rounds $(ROUNDS) --jobs $(JOBS)

bench-quick: ## a part of that as a test, in minutes
	@scripts/deps module kernel guest bench
	@tests/run bench

check: ## run the tests that need no guest: builds, sparse, checkpatch, documents, unit tests
	@scripts/deps module kernel check cross deb
	@tests/run static builds documents patch unit

replay: ## build build/replay: what the policy makes of a guest that was recorded
	@scripts/deps replay
	@$(MAKE) -s build/replay

build/replay: $(REPLAY_SOURCES) $(REPLAY_HEADERS)
	@mkdir -p build
	$(CC) $(REPLAY_FLAGS) -o $@ $(REPLAY_SOURCES)

module: ## build build/KERNEL/aerator.ko
	@scripts/deps module $(KERNEL_DEPS)
	@scripts/module $(KERNEL)

kernel: ## fetch or build the kernel: build/KERNEL/vmlinuz and build/KERNEL/modules/
	@scripts/deps module $(KERNEL_DEPS)
	@scripts/kernel --link $(KERNEL)

dist: ## pack the last commit: build/aerator-VERSION.tar.xz
	@scripts/dist

deb: ## build the Debian package: build/deb/aerator-dkms_VERSION_all.deb
	@scripts/deps deb
	@scripts/deb

dkms-install: ## have dkms build this checkout's aerator for each kernel of this system
	@scripts/dkms install

dkms-remove: ## undo that
	@scripts/dkms remove

clean: ## remove build/ (downloads and build roots stay in the cache)
	rm -rf build
