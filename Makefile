# SPDX-License-Identifier: GPL-2.0
#
# What a person types. The module itself is built by module/Kbuild; what these
# targets do is done by scripts/ and tests/, which can be called directly too.

# 5.10, 6.1, 6.12 or 7.3: the stock Debian cloud kernel of that series.
KERNEL ?= 6.1

.DEFAULT_GOAL := help
.PHONY: help demo test check module kernel clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo "  KERNEL=$(KERNEL)         which stock kernel demo, module and kernel use: 5.10 6.1 6.12 7.3"

demo: ## show freed guest memory go back to the host, with aerator and without
	@scripts/deps module guest demo
	@scripts/module $(KERNEL) >/dev/null
	@scripts/demo --kernel $(KERNEL)

test: ## run all tests, in guests and without (KTAP, then "N passed, N failed")
	@scripts/deps module guest check
	@tests/run

check: ## run the tests that need no guest: builds, sparse, checkpatch, unit tests
	@scripts/deps module check
	@tests/run static unit

module: ## build build/KERNEL/aerator.ko
	@scripts/deps module
	@scripts/module $(KERNEL)

kernel: ## fetch the kernel: build/KERNEL/vmlinuz and build/KERNEL/modules/
	@scripts/deps module
	@scripts/kernel --link $(KERNEL)

clean: ## remove build/ (downloads and build roots stay in the cache)
	rm -rf build
