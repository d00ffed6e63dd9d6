#!/bin/sh
# Makes OUTDIR/micro.cpio: the microbenchmarks and the command that runs phases, for the benchmark's initial ramdisk.
# Called by `cargo xtask`, which caches it.
set -eu
[ $# -eq 1 ] || { echo "usage: build.sh OUTDIR" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
: "${CROSS_COMPILE:=mipsisa64r6-linux-gnuabi64-}"
tree=$1/tree
mkdir -p "$tree/sbin"
"${CROSS_COMPILE}gcc" -std=gnu11 -O2 -Wall -Wextra -Werror -static -s -o "$tree/sbin/micro" "$here"/*.c "$here"/../measure/*.c
cp "$here/bench" "$tree/sbin/bench"
chmod 755 "$tree/sbin/micro" "$tree/sbin/bench"
find "$tree" -exec touch -d @0 {} +
cd "$tree"
printf 'sbin\nsbin/micro\nsbin/bench\n' |
	cpio --quiet --create --format=newc --reproducible --owner=0:0 > "$1/micro.cpio"
# What does not lie at a multiple of 8 the kernel unpacks byte by byte.
offset=$(LC_ALL=C grep -abo -m 1 "$(printf '\177ELF')" "$1/micro.cpio" | head -n 1)
[ $((${offset%%:*} % 8)) -eq 0 ] || { echo "build.sh: micro does not lie at a multiple of 8" >&2; exit 1; }
rm -r "$tree"
