#!/bin/sh
# Makes OUTDIR/sharing.ext4: a disk with 30 MiB of files and a workload that reads them, and two files of
# 16 MiB that are read as a whole. Called by `cargo xtask`, which caches it.
set -eu
[ $# -eq 1 ] || { echo "usage: build.sh OUTDIR" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
tree=$1/tree
mkdir -p "$tree/files"
cp "$here/sharing" "$tree/sharing"
chmod 755 "$tree/sharing"
number=0
while [ $number -lt 60 ]; do
	number=$((number + 1))
	# No two pages are the same.
	seq -f 'line %.0f of a text whose lines are as long as those of programs' \
		$((number * 10000)) $((number * 10000 + 9999)) | head -c 524288 > "$tree/files/$number"
done
for number in 1 2; do
	seq $((number * 10000000)) $((number * 10000000 + 2999999)) | head -c 16777216 > "$tree/large$number"
done
PATH=$PATH:/usr/sbin:/sbin
# As on the root disk: a page of a file is a page of the disk.
MKE2FS_CONFIG=/dev/null mke2fs -q -F -b 16384 -N 128 -I 256 -m 0 -E root_owner=0:0 \
	-O none,extent,filetype,dir_index,ext_attr,large_file,sparse_super -d "$tree" "$1/sharing.ext4" 66M
rm -r "$tree"
