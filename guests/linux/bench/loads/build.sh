#!/bin/sh
# Builds a load of the benchmark: OUTDIR/NAME is a folder for the loads' disk, with a script `run` that takes a window's
# number, measures, and prints "bench NAME NANOSECONDS COUNT" and "result SUM". `expected` there says which sum is
# right: that of the same program in QEMU's user emulation, without our kernels and the monitor.
# Called by `cargo xtask`, which caches what comes out.
#
#   build.sh NAME OUTDIR JOBS     NAME is a folder beside this script, with the rest of this script
#
# In the environment, as far as the load wants them:
#   TACHYON_TARBALL, SQLITE_TARBALL, ...    the distribution's sources
#   CROSS_COMPILE                           prefix of the cross tools, has a default
set -eu

die() { echo "build.sh: $*" >&2; exit 1; }

[ $# -eq 3 ] || die "usage: build.sh NAME OUTDIR JOBS"
name=$1 jobs=$3
here=$(cd "$(dirname "$0")/.." && pwd)
load=$here/loads/$name
[ -d "$load" ] || die "there is no load $name"
rm -rf "$2/$name"
mkdir -p "$2/work" "$2/$name"
out=$(cd "$2" && pwd)
work=$out/work tree=$out/$name
: "${CROSS_COMPILE:=mipsisa64r6-linux-gnuabi64-}"
CC=${CROSS_COMPILE}gcc
CXX=${CROSS_COMPILE}g++
CFLAGS="-O2 -static -s"

# Unpacks the tarball $1 to $work/$2.
unpack() {
	[ -e "$1" ] || die "a tarball for $2 is missing (see the top of this file)"
	rm -rf "$work/$2"
	mkdir "$work/$2"
	tar -C "$work/$2" --strip-components=1 -xf "$1"
}

# Runs a program that was built, in the load's folder.
emulate() { (cd "$tree" && qemu-mips64 -cpu I6400 "$@"); }

. "$load/build.sh"
chmod 755 "$tree/run"
[ -e "$tree/expected" ] || emulate $(sed 's/"$@"//' "$tree/run") | grep '^result ' > "$tree/expected"
[ -s "$tree/expected" ] || die "$name has no result"
