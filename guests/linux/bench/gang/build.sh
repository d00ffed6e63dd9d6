#!/bin/sh
# Makes OUTDIR/gang.cpio: another command `bench` for the benchmark's initial ramdisk, for machines that work side by
# side, and the load that it works at. Called by `cargo xtask`, which caches it.
set -eu
[ $# -eq 2 ] || { echo "usage: build.sh OUTDIR PMAKE" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
tree=$1/tree
mkdir -p "$tree/sbin"
cp "$here/bench" "$tree/sbin/bench"
chmod 755 "$tree/sbin/bench"
cp -R "$2" "$tree/pmake"
find "$tree" -exec touch -d @0 {} +
cd "$tree"
find sbin pmake | LC_ALL=C sort |
	cpio --quiet --create --format=newc --reproducible --owner=0:0 > "$1/gang.cpio"
rm -r "$tree"
