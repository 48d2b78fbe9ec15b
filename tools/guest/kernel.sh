#!/bin/sh
# SPDX-License-Identifier: MIT
#
# kernel.sh - fetch a packaged kernel into a folder; nothing is installed.
#
# kernel.sh SERIES FOLDER    SERIES as 6.1: the newest such package that apt knows is
# downloaded, unless it is in FOLDER already, and the path of its image is printed. The
# packages without a signature are taken: they hold the image itself, and no boot loader
# checks it here.
# Status 1 with a reason on stderr when there is none to be had.
set -u
[ $# -eq 2 ] || { echo 'usage: kernel.sh SERIES FOLDER' >&2; exit 2; }
series=$1 folder=$2
mkdir -p "$folder" || exit 1
folder=$(CDPATH='' cd -- "$folder" && pwd) || exit 1
arch=$(dpkg --print-architecture) || exit 1

# linux-image-6.1.0-56-cloud-amd64-unsigned, linux-image-6.12.115+deb12-cloud-amd64-unsigned
pattern="^linux-image-$(echo "$series" | sed 's/\./\\./g')\.[0-9][-+.0-9a-z]*-cloud-$arch-unsigned\$"
package=$(apt-cache pkgnames linux-image- | grep "$pattern" | sort -V | tail -n 1)
if [ -z "$package" ]; then
	image=$(find "$folder" -name "vmlinuz-$series.*" | sort -V | tail -n 1)
	[ -n "$image" ] || { echo "kernel.sh: apt knows no kernel $series (apt-get update?)" >&2; exit 1; }
	echo "$image"
	exit 0
fi
version=${package#linux-image-}
image=$folder/vmlinuz-${version%-unsigned}
if [ ! -s "$image" ]; then
	work=$(mktemp -d "$folder/fetch.XXXXXX") || exit 1
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' INT TERM HUP
	(cd "$work" && apt-get -q download "$package") >"$work/log" 2>&1 ||
		{ cat "$work/log" >&2; exit 1; }
	for deb in "$work"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work" ./boot || exit 1
	done
	mv "$work/boot/${image##*/}" "$image" || exit 1
fi
echo "$image"
