#!/bin/sh
# Makes OUTDIR/disk.cpio: a disk with the files of a load, as a file that is appended to an initial ramdisk. Called by
# `cargo xtask`, which caches it.
set -eu
[ $# -eq 2 ] || { echo "usage: disk.sh OUTDIR FOLDER" >&2; exit 1; }
out=$1 folder=$2
tree=$out/tree
# The 8 letters of its name are what brings it to a multiple of 8: what does not lie at one the kernel unpacks byte by byte.
image=$out/disk.img
mkdir "$tree"
cp -R "$folder" "$tree"
find "$tree" -exec touch -d @1767225600 {} +
PATH=$PATH:/usr/sbin:/sbin
size=$(du -sm "$tree" | cut -f1)
# Blocks of 16 KiB, as the pages of the guests and of the machine are. Every file takes at least one, and the tables
# some.
files=$(find "$tree" | wc -l)
export E2FSPROGS_FAKE_TIME=1767225600 MKE2FS_CONFIG=/dev/null
mke2fs -q -F -b 16384 -N $((files + 64)) -I 256 -m 0 -L loads -U 64697363-6f00-4000-8000-6c6f61647300 \
	-E hash_seed=64697363-6f00-4000-8000-6c6f61647301,lazy_itable_init=0,nodiscard,root_owner=0:0 \
	-O none,extent,filetype,dir_index,ext_attr,large_file,sparse_super \
	-d "$tree" "$image" $((size + files / 64 + 8))M
touch -d @0 "$image"
cd "$out"
echo disk.img | cpio --quiet --create --format=newc --reproducible --owner=0:0 > disk.cpio
# The magic number of an ext4 file system is at 1,080.
offset=$(LC_ALL=C grep -abo -m 1 "$(printf '\123\357')" disk.cpio | head -n 1)
[ $(((${offset%%:*} - 1080) % 8)) -eq 0 ] || { echo "disk.sh: the disk does not lie at a multiple of 8" >&2; exit 1; }
rm -r tree disk.img
