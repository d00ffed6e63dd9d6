#!/bin/sh
# Makes OUTDIR/sharing.ext4: a disk with 24 MiB of files and a workload that reads them. Called by
# `cargo xtask`, which caches it.
set -eu
[ $# -eq 1 ] || { echo "usage: build.sh OUTDIR" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
tree=$1/tree
mkdir -p "$tree/files"
cp "$here/sharing" "$tree/sharing"
chmod 755 "$tree/sharing"
number=0
while [ $number -lt 48 ]; do
	number=$((number + 1))
	# No two pages are the same.
	seq $((number * 100000)) $((number * 100000 + 99999)) | head -c 524288 > "$tree/files/$number"
done
PATH=$PATH:/usr/sbin:/sbin
# As on the root disk: a page of a file is a page of the disk.
MKE2FS_CONFIG=/dev/null mke2fs -q -F -b 16384 -I 256 -m 0 -E root_owner=0:0 \
	-O none,extent,filetype,dir_index,ext_attr,large_file,sparse_super -d "$tree" "$1/sharing.ext4" 32M
rm -r "$tree"
