# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What every script here shares: where things are kept, how progress is said.
# Source it; it sets -eu and changes nothing else.

set -euo pipefail

# The checkout, and what is built in it (removed by "make clean").
AERATOR_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
AERATOR_BUILD=$AERATOR_TOP/build

# What outlives the checkout: kernels, build roots, initramfs parts. Each entry
# is named after all that it depends on, so that nothing here ever goes stale.
AERATOR_CACHE=${AERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aerator}
export AERATOR_TOP AERATOR_BUILD AERATOR_CACHE

# Progress goes to stderr: stdout carries what a script answers.
say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# as_root COMMAND...: run it as root, through sudo for those who are not.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "needs root for: $* (and there is no sudo)"
	fi
}

# module_version: what modinfo will say of the module.
module_version() {
	sed -n 's/^aerator-version := //p' "$AERATOR_TOP/module/Kbuild"
}

# module_sources: their names, each with a NUL behind it, and not what a build by hand
# left among them. In the folder of the project.
module_sources() {
	find module \( -name '*.[ch]' -o -name 'Kbuild*' \) -print0
}

# alone FILE: wait until nobody else fills that part of the cache; the lock lasts
# as long as the script.
alone() {
	mkdir -p "${1%/*}"
	exec 9>"$1.lock"
	flock 9
}

# ticking WHAT COMMAND...: run a command whose output goes to a log, and say
# every 3 seconds that it still runs. On failure the log's end is shown. Ctrl-C
# does not reach a command in the background: it is ended with us.
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
