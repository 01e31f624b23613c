# SPDX-License-Identifier: GPL-2.0
#
# Shortcuts for the command line. Each target calls a program in scripts/ or tests/, which can
# be called directly, too. The module itself is built by module/Kbuild.

# 5.10, 6.1, 6.12 or 7.3: the stock Debian cloud kernel of that series.
# 6.1-treated, 6.12-treated, 7.3-treated: built here from Debian's source and kpatch/.
# 6.1-plain, 6.12-plain, 7.3-plain: built in the same way, without the patch.
# -kasan, -pagealloc or -kcsan can follow -treated and -plain.
# 6.12-arm64, 7.3-arm64: the stock cloud kernels of arm64; 6.12-arm64-16k: with 16 KiB pages.
# Or a release (uname -r) that one of Debian's suites still has.
KERNEL ?= 6.1

# Additional dependencies of a kernel of another architecture, or one that is built here.
KERNEL_DEPS = $(if $(findstring -arm64,$(KERNEL)),arm64,$(if $(findstring \
	-,$(filter-out %-amd64,$(KERNEL))),kernel))

# Cases that bench measures (all if empty), number of rounds, and number of guests at a time in
# cases that allow several.
CASE ?=
ROUNDS ?= 3
JOBS ?= 1

# Time limit of test-rare, for what it does not run for each commit.
RARE_SECONDS ?= 1200

# The replay is built from the module's own policy, with the kernel headers of the unit tests.
REPLAY_SOURCES = $(wildcard tools/replay/*.c) module/policy.c module/window_min.c
REPLAY_HEADERS = $(wildcard tools/replay/*.h tests/unit/shim/linux/*.h) \
	module/policy.h module/window_min.h
REPLAY_FLAGS = -std=gnu11 -O2 -g -Wall -Wextra -Werror -I tests/unit/shim -iquote module

# The guest's tool runs the replay, too: with its model, without its command line.
TOOL_MODEL = $(filter-out tools/replay/replay.c,$(REPLAY_SOURCES))
TOOL_SOURCES = $(wildcard tools/aerator/*.c) $(TOOL_MODEL)
TOOL_HEADERS = $(wildcard tools/aerator/*.h) $(REPLAY_HEADERS)
TOOL_FLAGS = -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror \
	-DTOOL_VERSION='"$(shell sed -n 's/^aerator-version := //p' module/Kbuild)"' \
	-D'__printf(text, first)=__attribute__((format(printf, text, first)))' \
	-I tests/unit/shim -iquote module

# The host's tool; the tests build another one, with sanitizers.
FLEET = build/tools/aerator-fleet
FLEET_SOURCES = $(wildcard tools/fleet/*.c)
FLEET_LIBRARIES = jansson smartcols libvirt libxml-2.0
FLEET_FLAGS = -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror \
	-DVERSION='"$(shell sed -n 's/^aerator-version := //p' module/Kbuild)"'

.DEFAULT_GOAL := help
.PHONY: help demo test test-debug test-rare test-all bench bench-quick check replay tools fleet module \
	kernel dist deb dkms-install dkms-remove clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo "  KERNEL=$(KERNEL)         which kernel demo, module and kernel use. Stock: 5.10 6.1 6.12 7.3"
	@echo "                    Built here: 6.12-treated (patched), 6.12-plain; also 6.1, 7.3;"
	@echo "                    debug kernels: 6.12-treated-kasan, -pagealloc, -kcsan."
	@echo "                    arm64, stock: 6.12-arm64, 6.12-arm64-16k, 7.3-arm64. Or a"
	@echo "                    release that Debian still has: 6.12.95+deb12-cloud-amd64"
	@echo "  CASE= ROUNDS=$(ROUNDS) JOBS=$(JOBS) what bench measures: release churn window ramp cache faults"
	@echo "                    scale orders traces (all if empty), how often, and guests at a time"

demo: ## show freed guest memory go back to the host, with aerator and without
	@scripts/deps module guest demo tool $(KERNEL_DEPS)
	@scripts/module $(KERNEL) >/dev/null
	@scripts/demo --kernel $(KERNEL)

test: ## run the tests, with and without guests (KTAP, then "N passed, N failed")
	@scripts/deps module kernel guest check deb
	@tests/run

test-debug: ## run the tests that use a debug kernel: KASAN, lockdep and others
	@scripts/deps module kernel guest
	@tests/run --debug

test-rare: ## run tests that both leave out: some for each commit, others in parts (RARE_SECONDS)
	@scripts/deps module kernel guest check cross clang libvirt deb disk firmware
	@tests/run --rare $(RARE_SECONDS)

test-all: ## run all tests, also those that are long or need more kernels built here (hours)
	@scripts/deps module kernel guest check cross clang libvirt deb disk firmware
	@tests/run --all

bench: ## measure aerator and other drivers side by side (hours; CASE=churn: one case)
	@scripts/deps module kernel guest bench
	@scripts/bench $(CASE) --rounds $(ROUNDS) --jobs $(JOBS)

bench-quick: ## run a short benchmark as a test, in minutes
	@scripts/deps module kernel guest bench
	@tests/run bench

check: ## run the tests that need no guest: builds, sparse, checkpatch, documents, unit tests
	@scripts/deps module kernel check cross deb
	@tests/run static builds documents patch unit

replay: ## build build/replay, which runs the policy on a recorded trace of free memory
	@scripts/deps replay
	@$(MAKE) -s build/replay

build/replay: $(REPLAY_SOURCES) $(REPLAY_HEADERS)
	@mkdir -p build
	$(CC) $(REPLAY_FLAGS) -o $@ $(REPLAY_SOURCES)

tools: ## build build/tools/aerator, the guest's command line tool: see aerator(1)
	@scripts/deps tool
	@$(MAKE) -s build/tools/aerator

build/tools/aerator: $(TOOL_SOURCES) $(TOOL_HEADERS)
	@mkdir -p build/tools
	$(CC) $(CPPFLAGS) $(CFLAGS) $(TOOL_FLAGS) $(LDFLAGS) -o $@ $(TOOL_SOURCES) -lsmartcols

fleet: ## build build/tools/aerator-fleet, which shows a host what its guests could give back
	@scripts/deps fleet
	@$(MAKE) -s $(FLEET)

$(FLEET): $(FLEET_SOURCES) $(wildcard tools/fleet/*.h)
	@mkdir -p $(@D)
	$(CC) $(FLEET_FLAGS) $(CFLAGS) $(CPPFLAGS) $(shell pkg-config --cflags $(FLEET_LIBRARIES)) \
		$(LDFLAGS) -o $@ $(FLEET_SOURCES) $(shell pkg-config --libs $(FLEET_LIBRARIES))

module: ## build build/KERNEL/aerator.ko
	@scripts/deps module $(KERNEL_DEPS)
	@scripts/module $(KERNEL)

kernel: ## fetch or build the kernel: build/KERNEL/vmlinuz and build/KERNEL/modules/
	@scripts/deps module $(KERNEL_DEPS)
	@scripts/kernel --link $(KERNEL)

dist: ## pack the last commit: build/aerator-VERSION.tar.xz
	@scripts/package/dist

deb: ## build the Debian packages: build/deb/aerator-dkms_VERSION_all.deb and others
	@scripts/deps deb
	@scripts/package/deb

dkms-install: ## have dkms build this checkout's aerator for each kernel of this system
	@scripts/package/dkms install

dkms-remove: ## undo dkms-install
	@scripts/package/dkms remove

clean: ## remove build/ (downloads and build roots stay in the cache)
	rm -rf build
