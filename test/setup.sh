#!/bin/sh
# Makes sure that there is a Go tool chain as new as go.mod asks for. Debian's own may be older: then it fetches the right
# one, which is an ordinary Go module, into .cache/go. Everything else that tests need, test/guest installs.
set -eu
cd "$(dirname "$0")/.."
want=$(sed -n 's/^go //p' go.mod)

new_enough() { # $1: a go binary
	"$1" version >/dev/null 2>&1 || return 1
	have=$("$1" env GOVERSION | sed 's/^go//; s/[^0-9.].*//')
	[ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1)" = "$want" ]
}

for go in .cache/go/bin/go go; do
	if new_enough "$go"; then exit 0; fi
done

if ! command -v go >/dev/null || ! command -v gcc >/dev/null; then
	echo "setup: installing Debian's golang-go, gcc and libc6-dev" >&2
	if [ "$(id -u)" != 0 ]; then
		echo "setup: not root; as root: apt-get install -y golang-go gcc libc6-dev" >&2
		exit 1
	fi
	apt-get update -qq >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends golang-go gcc libc6-dev ca-certificates >&2
	if new_enough go; then exit 0; fi
fi

release=$want
case $release in *.*.*) ;; *) release=$release.0 ;; esac
echo "setup: fetching the Go $release tool chain, as Debian's is $(go env GOVERSION)" >&2
arch=$(go env GOARCH)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
module="golang.org/toolchain@v0.0.1-go$release.linux-$arch"
dir=$(cd "$folder" && echo "module setup" >go.mod && GOFLAGS=-mod=mod go mod download -json "$module" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
rm -rf .cache/go
mkdir -p .cache
cp -r "$dir" .cache/go.new
chmod -R u+w .cache/go.new
chmod +x .cache/go.new/bin/* .cache/go.new/pkg/tool/*/*
mv .cache/go.new .cache/go
new_enough .cache/go/bin/go
