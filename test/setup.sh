#!/bin/sh
# Makes sure that there is a Go tool chain as new as go.mod asks for, and with argument "tests" also what the tests want: the C
# compiler that the race detector links with, and tools that make what tests look at. Debian's Go may be older: then it fetches
# the right one, which is an ordinary Go module, into .cache/go. Where all is there, this says nothing and takes no time.
set -eu
cd "$(dirname "$0")/.."
minimum=$(sed -n 's/^go //p' go.mod)
release=$(sed -n 's/^toolchain go//p' go.mod) # the one to fetch, where go.mod prefers a later one
release=${release:-$minimum}

say() { echo "setup: $*" >&2; }

new_enough() { # $1: a go command
	"$1" version >/dev/null 2>&1 || return 1
	have=$("$1" env GOVERSION | sed 's/^go//; s/[^0-9.].*//')
	[ "$(printf '%s\n%s\n' "$minimum" "$have" | sort -V | head -n 1)" = "$minimum" ]
}

has_go() { new_enough .cache/go/bin/go || new_enough go; }

# quietly runs a command, and shows what it printed only when it fails.
quietly() {
	if ! "$@" >"$scratch/output" 2>&1; then
		cat "$scratch/output" >&2
		say "failed: $*"
		exit 1
	fi
}

# install_packages fetches the package lists only when it does not work without: they are missing or too old.
install_packages() { # $@: Debian packages
	if ! command -v apt-get >/dev/null; then
		say "this is no Debian to install packages on; it lacks $*"
		exit 1
	fi
	if [ "$(id -u)" != 0 ]; then
		say "packages are missing, and only root can install them; type: sudo apt-get install --no-install-recommends $*"
		exit 1
	fi
	say "installing Debian packages (about a minute): $*"
	export DEBIAN_FRONTEND=noninteractive
	install="apt-get -q -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends"
	# shellcheck disable=SC2086 # a list of words
	$install "$@" >/dev/null 2>&1 || { quietly apt-get -q update && quietly $install "$@"; }
}

# fetch_toolchain asks Debian's go for the module whose files are a Go tool chain (https://go.dev/doc/toolchain). Modules
# carry no executable bits.
fetch_toolchain() {
	case $release in *.*.*) ;; *) release=$release.0 ;; esac
	say "fetching Go $release (about a minute), as $(go version) is too old"
	module=golang.org/toolchain@v0.0.1-go$release.$(go env GOOS)-$(go env GOARCH)
	mkdir "$scratch/module"
	echo "module setup" >"$scratch/module/go.mod"
	(cd "$scratch/module" && GOMODCACHE=$scratch/modules GOFLAGS="-mod=mod -modcacherw" quietly go mod download "$module")
	new=$scratch/modules/$module
	chmod +x "$new"/bin/* "$new"/pkg/tool/*/*
	rm -rf .cache/go
	mv "$new" .cache/go
}

# wanted names the packages of the tools that tests want and this machine lacks.
wanted() {
	while read -r program package; do
		PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || echo "$package"
	done <<-END
		gcc gcc libc6-dev
		strace strace
		mkfs.ext4 e2fsprogs
		mkfs.xfs xfsprogs
		mkfs.btrfs btrfs-progs
		mdadm mdadm
		cryptsetup cryptsetup-bin
		sgdisk gdisk
		sfdisk fdisk
		chromium chromium
		fio fio
	END
}

# fetch_promtool unpacks Debian's Prometheus without installing it, which would start a server.
fetch_promtool() {
	say "fetching promtool (some seconds), which tests the alerts"
	mkdir "$scratch/package"
	(cd "$scratch/package" && { apt-get -q download prometheus >/dev/null 2>&1 || { quietly apt-get -q update && quietly apt-get -q download prometheus; }; })
	quietly dpkg-deb --extract "$scratch"/package/*.deb "$scratch/package/root"
	rm -rf .cache/prometheus
	mv "$scratch/package/root" .cache/prometheus
}

promtool=.cache/prometheus/usr/bin/promtool
if [ "${1:-}" != tests ] || ! command -v apt-get >/dev/null; then promtool=; fi

packages=
[ "${1:-}" != tests ] || packages=$(wanted)
if has_go && [ -z "$packages" ] && { [ -z "$promtool" ] || [ -x "$promtool" ]; }; then exit 0; fi
mkdir -p .cache
exec 9>.cache/setup.lock
flock 9 # two at once would do it twice
scratch=$(mktemp -d .cache/setup.XXXXXX)
scratch=$PWD/$scratch
trap 'rm -rf "$scratch"' EXIT

# With apt at work already, it also gets what test/guest would install for itself a moment later.
has_go || command -v go >/dev/null ||
	packages="$packages golang-go ca-certificates user-mode-linux lvm2 thin-provisioning-tools xfsprogs kmod"
# shellcheck disable=SC2086 # a list of words
[ -z "$packages" ] || install_packages $packages
[ -z "$promtool" ] || [ -x "$promtool" ] || fetch_promtool
has_go || fetch_toolchain
if ! has_go; then
	say "Go $release was fetched and does not run"
	exit 1
fi
