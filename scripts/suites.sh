# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Debian suites: which kernel series is in which, an apt for each of them that
# leaves the system's alone, and its compiler. Source it after lib.sh; set $suite
# first.

suite=${suite-}
# Whose packages apt sees, and which programs a build root has besides.
suite_arch=${suite_arch-amd64}
suite_purpose=${suite_purpose-}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# is_release K: whether that is a whole release, as uname -r says it, and no series.
is_release() {
	[[ $1 == [0-9]*.*.*-amd64 ]]
}

# suite_of_kernel K: the suite whose stock kernel that series is, or was made of; or the
# one that has the kernel of that release.
suite_of_kernel() {
	if is_release "$1"; then
		suite_of_release "$1"
		return
	fi
	case ${1%%-*} in
	5.10) echo bullseye ;;
	6.1) echo bookworm ;;
	6.12) echo trixie ;;
	7.3) echo trixie-backports ;;
	*)
		say "no stock kernel '$1': one of 5.10 6.1 6.12 7.3, or a release (uname -r)"
		return 1
		;;
	esac
}

# suites_of_release RELEASE: where it may be. Newer releases name the Debian that they
# were built for.
suites_of_release() {
	case $1 in
	*+deb11*) echo bullseye bullseye-backports ;;
	*+deb12*) echo bookworm bookworm-backports ;;
	*+deb13*) echo trixie trixie-backports ;;
	*) echo bullseye bookworm trixie ;;
	esac
}

# suite_of_release RELEASE: the suite that has its image, or had it when it was fetched.
suite_of_release() {
	local suite found=$AERATOR_CACHE/kernels/$1/suite
	if [ -f "$found" ]; then
		cat "$found"
		return
	fi
	for suite in $(suites_of_release "$1"); do
		suite_refresh
		if suite_carries "linux-image-$1"; then
			echo "$suite"
			return
		fi
	done
	say "no suite of $(suites_of_release "$1") has a kernel $1 (any more)"
	return 1
}

# suite_mirror LABEL: the address that the system's apt has for the archive of
# that label ("Debian" or "Debian-Security").
suite_mirror() {
	local uri
	# shellcheck disable=SC2016 # apt-get expands these
	uri=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' \
		'Created-By: Packages' | sed -n "s,^Debian|$1|,,p" | head -n 1)
	[ -n "$uri" ] || die "apt has no mirror of the $1 archive (apt-get update?)"
	printf '%s' "$uri"
}

# suite_sources SUITE: the lines of a sources.list for it. Security updates end earlier
# for other architectures than for this one, and what is left of their index may be
# broken.
suite_sources() {
	local base=${1%-backports} mirror
	mirror=$(suite_mirror Debian)
	echo "deb [signed-by=$keyring] $mirror $1 main"
	[ "$base" = "$1" ] && [ "$suite_arch" = amd64 ] || return 0
	mirror=$(suite_mirror Debian-Security)
	echo "deb [signed-by=$keyring] $mirror $1-security main"
}

# suite_state: where its apt keeps all that it knows.
suite_state() {
	local other=-$suite_arch
	[ "$suite_arch" != amd64 ] || other=
	printf '%s' "$AERATOR_CACHE/apt/$suite$other"
}

# suite_apt COMMAND...: an apt tool that sees $suite and nothing else.
suite_apt() {
	APT_CONFIG=$(suite_state)/apt.conf "$@"
}

# suite_carries PACKAGE: whether the suite has it; PACKAGE=VERSION asks for that one.
suite_carries() {
	suite_apt apt-cache show "$1" >/dev/null 2>&1
}

# suite_configure DIR: make the private apt state.
suite_configure() {
	mkdir -p "$1/state/lists/partial" "$1/cache/archives/partial"
	: >"$1/status"
	suite_sources "$suite" >"$1/sources.list"
	cat >"$1/apt.conf" <<-END
	Dir::State "$1/state";
	Dir::State::status "$1/status";
	Dir::Cache "$1/cache";
	Dir::Etc::sourcelist "$1/sources.list";
	Dir::Etc::sourceparts "/dev/null";
	Dir::Etc::preferences "/dev/null";
	Dir::Etc::preferencesparts "/dev/null";
	APT::Architecture "$suite_arch";
	APT::Architectures { "$suite_arch"; };
	APT::Sandbox::User "$(id -un)";
	END
}

# suite_refresh: read the suite's index if the last time is half a day ago.
# An index that cannot be had now is no harm while an older one is there.
suite_refresh() {
	local dir
	dir=$(suite_state)
	[ -z "$(find "$dir/stamp" -mmin -720 2>/dev/null)" ] || return 0
	suite_configure "$dir"
	if ticking "reading the index of ${dir##*/}" suite_apt apt-get -q update; then
		touch "$dir/stamp"
	elif [ -f "$dir/stamp" ]; then
		say "going on with the index of $(date -r "$dir/stamp" +%F)"
	else
		die "no index of $suite"
	fi
}

# suite_is_native: whether it is the one that this machine runs. Backports are
# built with the compiler of the suite that they are for.
suite_is_native() {
	[ "${suite%-backports}" = "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" ]
}

# suite_compiler: what names its compiler, and changes when that does.
suite_compiler() {
	if suite_is_native; then
		gcc --version | head -n 1
	else
		"$AERATOR_TOP/scripts/buildroot" "${suite%-backports}"
	fi
}

# in_suite WRITABLE READABLE COMMAND...: run a command with the suite's programs.
# Another suite's kernels need its compiler, and bring tools that need its libc:
# its programs are put around the command, without the network, and it sees two
# folders, of which it can write to one (but not to the other if that is in it).
# It ends with us.
in_suite() {
	local writable=$1 readable=$2 root dir binds=()
	# What a make that we run under was told is not for the one that we run.
	local -x MAKEFLAGS=
	shift 2
	if suite_is_native; then
		setpriv --pdeathsig TERM -- "$@"
		return
	fi
	# shellcheck disable=SC2086 # none, or one
	root=$("$AERATOR_TOP/scripts/buildroot" "${suite%-backports}" $suite_purpose)
	for dir in usr etc bin sbin lib lib64; do
		binds+=(--ro-bind "$root/$dir" "/$dir")
	done
	bwrap --unshare-all --die-with-parent "${binds[@]}" \
		--dev /dev --proc /proc --tmpfs /tmp \
		--bind "$writable" "$writable" --ro-bind "$readable" "$readable" \
		--setenv PATH /usr/bin:/bin:/usr/sbin --setenv LC_ALL C "$@"
}
