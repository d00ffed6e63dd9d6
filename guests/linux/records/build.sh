#!/bin/sh
# Makes OUTDIR/records.ext4: a disk with the program records. Called by `cargo xtask`, which caches it.
set -eu
[ $# -eq 1 ] || { echo "usage: build.sh OUTDIR" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
tree=$1/tree
mkdir -p "$tree"
"${CROSS_COMPILE:-mipsisa64r6-linux-gnuabi64-}gcc" -std=gnu11 -O2 -Wall -Wextra -static -s -o "$tree/records" \
	"$here/records.c"
PATH=$PATH:/usr/sbin:/sbin
# The smallest journal, so that it comes round often. The features are named: those that a version of mke2fs
# takes by itself may be unknown to the guest's Linux.
MKE2FS_CONFIG=/dev/null mke2fs -q -F -b 4096 -I 256 -m 0 -J size=4 -E root_owner=0:0 \
	-O none,has_journal,extent,filetype,dir_index,ext_attr,large_file,sparse_super,metadata_csum,64bit \
	-d "$tree" "$1/records.ext4" 32M
rm -r "$tree"
