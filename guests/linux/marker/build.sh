#!/bin/sh
# Makes OUTDIR/marker.cpio: what the benchmark's user land has more beside the exact model of the memory system. Called
# by `cargo xtask`, which caches it.
set -eu
[ $# -eq 1 ] || { echo "usage: build.sh OUTDIR" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
: "${CROSS_COMPILE:=mipsisa64r6-linux-gnuabi64-}"
tree=$1/tree
mkdir -p "$tree/sbin"
"${CROSS_COMPILE}gcc" -std=gnu11 -O2 -Wall -Wextra -static -s -o "$tree/sbin/mark" "$here/mark.c"
cp "$here/bench" "$tree/sbin/bench"
chmod 755 "$tree/sbin/mark" "$tree/sbin/bench"
find "$tree" -exec touch -d @0 {} +
cd "$tree"
printf 'sbin\nsbin/bench\nsbin/mark\n' |
	cpio --quiet --create --format=newc --reproducible --owner=0:0 > "$1/marker.cpio"
rm -r "$tree"
