# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Debian suites: the suite of each kernel series, an apt for each suite that does not
# touch the system's apt, and the compiler of each suite. Source it after lib.sh; set
# $suite before calling a function that uses it.

suite=${suite-}
# The architecture of apt's packages, and the purpose of the build root (scripts/buildroot).
suite_arch=${suite_arch-amd64}
suite_purpose=${suite_purpose-}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# is_release K: whether K is a whole release, as uname -r prints it, and not a series.
is_release() {
	[[ $1 == [0-9]*.*.*-amd64 ]]
}

# kernel_arch K: print Debian's name of the architecture of a kernel or release.
kernel_arch() {
	case $1 in
	*-arm64*) echo arm64 ;;
	*) echo amd64 ;;
	esac
}

# kernel_flavour K: print the flavour of Debian's kernel that K stands for, or nothing if K is
# a kernel that is built here.
kernel_flavour() {
	case ${1#*-} in
	"$1") echo cloud-amd64 ;;
	arm64) echo cloud-arm64 ;;
	arm64-16k) echo arm64-16k ;;
	esac
}

# suite_of_kernel K: print the suite that has the stock kernel of that series, or the source
# that it is built from; or the suite that has the kernel of that release.
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

# suites_of_release RELEASE: print the suites that may have it. Newer releases contain the
# version of Debian that they were built for.
suites_of_release() {
	case $1 in
	*+deb11*) echo bullseye bullseye-backports ;;
	*+deb12*) echo bookworm bookworm-backports ;;
	*+deb13*) echo trixie trixie-backports ;;
	*) echo bullseye bookworm trixie ;;
	esac
}

# suite_of_release RELEASE: print the suite that has its image, or had it when the image was
# fetched.
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

# suite_mirror LABEL: print the address of the archive with that label ("Debian" or
# "Debian-Security") in the system's apt.
suite_mirror() {
	local uri
	# shellcheck disable=SC2016 # apt-get expands these
	uri=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' \
		'Created-By: Packages' | sed -n "s,^Debian|$1|,,p" | head -n 1)
	[ -n "$uri" ] || die "apt has no mirror of the $1 archive (apt-get update?)"
	printf '%s' "$uri"
}

# suite_sources SUITE: print the lines of a sources.list for it. Other architectures than this
# one lose security support earlier, and their security index may then be broken: it is left
# out.
suite_sources() {
	local base=${1%-backports} mirror
	mirror=$(suite_mirror Debian)
	echo "deb [signed-by=$keyring] $mirror $1 main"
	[ "$base" = "$1" ] && [ "$suite_arch" = amd64 ] || return 0
	mirror=$(suite_mirror Debian-Security)
	echo "deb [signed-by=$keyring] $mirror $1-security main"
}

# suite_state: print the folder of the suite's apt state.
suite_state() {
	local other=-$suite_arch
	[ "$suite_arch" != amd64 ] || other=
	printf '%s' "$AERATOR_CACHE/apt/$suite$other"
}

# suite_apt COMMAND...: run an apt tool that sees only the packages of $suite.
suite_apt() {
	APT_CONFIG=$(suite_state)/apt.conf "$@"
}

# suite_carries PACKAGE[=VERSION]: whether the suite has that package.
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

# suite_update DIR: download the suite's index; while that runs, there may be none.
suite_update() {
	suite_configure "$1"
	if ticking "reading the index of ${1##*/}" suite_apt apt-get -q update; then
		touch "$1/stamp"
	elif [ -f "$1/stamp" ]; then
		say "going on with the index of $(date -r "$1/stamp" +%F)"
	else
		die "no index of $suite"
	fi
}

# suite_refresh: download the suite's index if it is older than half a day. If the download
# fails, an older index is used. A process at a time: the others wait, and find a new index.
suite_refresh() {
	local dir lock
	dir=$(suite_state)
	mkdir -p "$dir"
	# Another lock than that of alone(), which the caller may have.
	exec {lock}>"$dir/lock"
	flock "$lock"
	[ -n "$(find "$dir/stamp" -mmin -720 2>/dev/null)" ] || suite_update "$dir"
	exec {lock}>&-
}

# suite_is_native: whether $suite is that of this machine. Backports are built with the compiler
# of the suite that they are for.
suite_is_native() {
	[ "${suite%-backports}" = "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" ]
}

# compiler_prefix: print the prefix of the compilers for $suite_arch; amd64 and i386 use this
# machine's compiler.
compiler_prefix() {
	case $suite_arch in
	arm64) echo aarch64-linux-gnu- ;;
	ppc64el) echo powerpc64le-linux-gnu- ;;
	s390x) echo s390x-linux-gnu- ;;
	esac
}

# suite_compiler: print a text that identifies the suite's compiler.
suite_compiler() {
	if suite_is_native; then
		gcc --version | head -n 1
	else
		"$AERATOR_TOP/scripts/buildroot" "${suite%-backports}"
	fi
}

# in_suite WRITABLE READABLE COMMAND...: run a command with the suite's programs. The kernels
# of another suite need its compiler, and their tools need its libc: the command runs in a
# sandbox with the suite's root, without network. It sees two folders, and can write to the
# first one (but not to the second one if that is inside). It ends when the script ends.
in_suite() {
	local writable=$1 readable=$2 root dir binds=()
	# The flags of a make that runs this script are not for the make that runs here.
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
