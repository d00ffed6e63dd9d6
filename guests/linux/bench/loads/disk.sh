#!/bin/sh
# Makes OUTDIR/loads.ext4: a disk with the folders FOLDER of loads. Called by `cargo xtask`, which caches it.
set -eu
[ $# -ge 2 ] || { echo "usage: disk.sh OUTDIR FOLDER..." >&2; exit 1; }
out=$1
shift
mkdir -p "$out/tree"
cp -R "$@" "$out/tree"
find "$out/tree" -exec touch -d @1767225600 {} +
PATH=$PATH:/usr/sbin:/sbin
size=$(du -sm "$out/tree" | cut -f1)
# Blocks of 16 KiB, as the pages of the guests and of the machine are. Every file takes at least one, and the tables
# some.
files=$(find "$out/tree" | wc -l)
export E2FSPROGS_FAKE_TIME=1767225600 MKE2FS_CONFIG=/dev/null
mke2fs -q -F -b 16384 -N $((files + 64)) -I 256 -m 0 -L loads -U 64697363-6f00-4000-8000-6c6f61647300 \
	-E hash_seed=64697363-6f00-4000-8000-6c6f61647301,lazy_itable_init=0,nodiscard,root_owner=0:0 \
	-O none,extent,filetype,dir_index,ext_attr,large_file,sparse_super \
	-d "$out/tree" "$out/loads.ext4" $((size + files / 64 + 8))M
rm -r "$out/tree"
