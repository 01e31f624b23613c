# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Functions and variables of all scripts: paths, progress messages, locks.
# To be sourced; it sets -euo pipefail, and no other option.

set -euo pipefail

# The checkout, and its build folder (removed by "make clean").
AERATOR_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
AERATOR_BUILD=$AERATOR_TOP/build

# The cache, which outlives the checkout: kernels, build roots, initramfs images. The name of
# an entry contains a version, or a hash of all inputs, so that no entry goes stale.
AERATOR_CACHE=${AERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aerator}
export AERATOR_TOP AERATOR_BUILD AERATOR_CACHE

# Progress goes to stderr: stdout has a script's result.
say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# as_root COMMAND...: run it as root, with sudo if the current user is not root.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "needs root for: $* (and there is no sudo)"
	fi
}

# module_version: print the module's version, as modinfo shows it.
module_version() {
	sed -n 's/^aerator-version := //p' "$AERATOR_TOP/module/Kbuild"
}

# module_sources: print the names of the module's sources, each terminated by a NUL; files of a
# build in module/ are left out. The current folder has to be $AERATOR_TOP.
module_sources() {
	find module \( -name '*.[ch]' -o -name 'Kbuild*' \) -print0
}

# alone FILE: take the lock on that part of the cache, or wait for it; the script releases the
# lock when it ends.
alone() {
	mkdir -p "${1%/*}"
	exec 9>"$1.lock"
	flock 9
}

# ticking WHAT COMMAND...: run a command with its output in a log, and print every
# 3 seconds that it still runs. If it fails, print the end of the log. Ctrl-C does not
# reach a command in the background: the trap ends it together with the script.
ticking() {
	local what=$1 log pid start=$SECONDS status=0
	shift
	log=$(mktemp)
	"$@" >"$log" 2>&1 9>&- &
	pid=$!
	# shellcheck disable=SC2064 # expand now: $pid is local
	trap "kill $pid 2>/dev/null; exit 130" INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		(( (SECONDS - start) % 3 == 0 && SECONDS > start )) || continue
		say "  $what ... $((SECONDS - start)) s"
		sleep 1
	done
	wait "$pid" || status=$?
	trap - INT TERM
	[ "$status" = 0 ] || { say "$what failed:"; tail -n 30 "$log" >&2; }
	rm -f "$log"
	return "$status"
}
