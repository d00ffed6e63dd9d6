#!/bin/sh
# Builds one part of the Linux guest. Called by `cargo xtask`, which caches what comes out.
#
#   build.sh linux-guest  OUTDIR JOBS    OUTDIR/vmlinux, for a virtual machine
#   build.sh linux-native OUTDIR JOBS    OUTDIR/vmlinux, for the bare board
#   build.sh busybox      OUTDIR JOBS    OUTDIR/busybox, static
#   build.sh conformance  OUTDIR JOBS    OUTDIR/conformance, static
#   build.sh initramfs    OUTDIR JOBS    OUTDIR/initramfs.cpio
#   build.sh root         OUTDIR JOBS    OUTDIR/root.ext4, the same files on a disk
#
# In the environment:
#   LINUX_TARBALL    the distribution's linux-source tarball      (linux-*, initramfs)
#   HEADER_DIR       folder with the generated disco.h            (linux-guest)
#   BUSYBOX_TARBALL  busybox's source tarball                     (busybox)
#   BUSYBOX          the program that "busybox" built             (initramfs, root)
#   CONFORMANCE      the program that "conformance" built, or ""  (initramfs, root)
#   CROSS_COMPILE    prefix of the cross tools, has a default
# Work files go to OUTDIR/work and may be removed afterwards.
set -eu

die() { echo "build.sh: $*" >&2; exit 1; }
need() { eval "[ -e \"\${$1:-}\" ]" || die "$1 is not set to something that exists (see the top of this file)"; }

[ $# -eq 3 ] || die "usage: build.sh TARGET OUTDIR JOBS"
target=$1 jobs=$3
mkdir -p "$2"
out=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
work=$out/work
: "${CROSS_COMPILE:=mipsisa64r6-linux-gnuabi64-}"
mkdir -p "$work"

# Sets every option of the fragments $2.. in the configuration $1.
merge_config() {
	config=$1; shift
	cat "$@" | grep -v '^#' > "$work/fragment"
	sed 's/=.*//; s/.*/^&=\n^# & is not set$/' "$work/fragment" > "$work/keys"
	grep -v -f "$work/keys" "$config" > "$config.new" || true
	cat "$work/fragment" >> "$config.new"
	mv "$config.new" "$config"
}

# Fails if the configuration $1 did not take every option of the fragment.
check_config() {
	while read -r option; do
		grep -qxF "$option" "$1" || die "the configuration does not take $option"
	done < "$work/fragment"
}

unpack_linux() {
	need LINUX_TARBALL
	rm -rf "$work/linux"
	mkdir "$work/linux"
	tar -C "$work/linux" --strip-components=1 -xf "$LINUX_TARBALL"
	version=$(make -s -C "$work/linux" kernelversion | cut -d. -f1,2)
}

kmake() { make -C "$work/linux" -j"$jobs" ARCH=mips CROSS_COMPILE="$CROSS_COMPILE" KBUILD_BUILD_TIMESTAMP=@0 \
	KBUILD_BUILD_USER=disco KBUILD_BUILD_HOST=disco "$@"; }

# Adds the port: new files, then the changes to existing ones.
apply_port() {
	need HEADER_DIR
	cp -R "$here/files/." "$work/linux/"
	cp "$HEADER_DIR/disco.h" "$work/linux/arch/mips/include/asm/mach-disco/disco.h"
	for patch in "$here"/patches/*.patch "$here/patches/$version"/*.patch; do
		[ -e "$patch" ] || continue
		patch -s -d "$work/linux" -p1 -F3 --no-backup-if-mismatch < "$patch" ||
			die "$patch does not apply to Linux $version"
	done
}

build_linux() {
	cat "$here/common.config" "$1" | sed "/^#/d; s/ # $version\$//; / # /d" > "$work/fragment"
	kmake KCONFIG_ALLCONFIG="$work/fragment" allnoconfig
	check_config "$work/linux/.config"
	kmake vmlinux
	"${CROSS_COMPILE}strip" -o "$out/vmlinux" "$work/linux/vmlinux"
	cp "$work/linux/System.map" "$out/System.map"
}

# Writes $work/list: the files of the user land, as the kernel's gen_init_cpio reads it.
list_files() {
	need BUSYBOX
	sed "s|@HERE@|$here/initramfs|; s|@BUSYBOX@|$BUSYBOX|" "$here/initramfs/list" > "$work/list"
	# Every command of busybox that the list does not name itself.
	while read -r link; do
		name=${link##*/}
		case $name in
		busybox | init | poweroff | reboot | halt | linuxrc | "[["*) ;;
		*) echo "slink /bin/$name busybox 0777 0 0" >> "$work/list" ;;
		esac
	done < "$(dirname "$BUSYBOX")/busybox.links"
	[ -z "${CONFORMANCE:-}" ] || echo "file /sbin/conformance $CONFORMANCE 0755 0 0" >> "$work/list"
}

# From such a list, what makes debugfs put the files into a file system. It takes names without a folder, or
# with the root alone, for names in its current folder.
debugfs_commands() {
	while read -r kind path rest; do
		set -- $rest
		name=${path##*/}
		case $kind in
		dir | file | slink | nod) echo "cd ${path%/*}/" ;;
		esac
		case $kind in
		dir) echo "mkdir $name" && echo "sif $name mode 04$1" ;;
		file) echo "write $1 $name" && echo "sif $name mode 010$2" ;;
		slink) echo "symlink $name $1" ;;
		nod) echo "mknod $name $4 $5 $6" && echo "sif $name mode 02$1" ;;
		esac
	done
}

case $target in
linux-guest)
	unpack_linux
	apply_port
	build_linux "$here/guest.config"
	;;
linux-native)
	unpack_linux
	build_linux "$here/native.config"
	;;
busybox)
	need BUSYBOX_TARBALL
	rm -rf "$work/busybox"
	mkdir "$work/busybox"
	tar -C "$work/busybox" --strip-components=1 -xf "$BUSYBOX_TARBALL"
	cd "$work/busybox"
	make allnoconfig > /dev/null
	merge_config .config "$here/busybox.config"
	yes '' | make oldconfig > /dev/null
	check_config .config
	make -j"$jobs" CROSS_COMPILE="$CROSS_COMPILE" busybox
	cp busybox "$out/busybox"
	make -s busybox.links
	cp busybox.links "$out/busybox.links"
	;;
conformance)
	"${CROSS_COMPILE}gcc" -std=gnu11 -O2 -Wall -Wextra -static -pthread -s -o "$out/conformance" \
		"$here"/conformance/*.c
	;;
initramfs)
	need LINUX_TARBALL
	tar -C "$work" --strip-components=2 --wildcards -xf "$LINUX_TARBALL" '*/usr/gen_init_cpio.c'
	cc -O2 -o "$work/gen_init_cpio" "$work/gen_init_cpio.c"
	list_files
	"$work/gen_init_cpio" -t 0 "$work/list" > "$out/initramfs.cpio"
	# See the list.
	offset=$(LC_ALL=C grep -abo -m 1 "$(printf '\177ELF')" "$out/initramfs.cpio" | head -n 1)
	[ $((${offset%%:*} % 8)) -eq 0 ] || die "busybox does not lie at a multiple of 8 in initramfs.cpio"
	;;
root)
	# Blocks of 16 KiB, as the pages of the guests and of the machine are: a page of a file is a page of the
	# disk, which all that have the disk may share. No journal: what is private to a virtual machine ends
	# with it. Nothing in the image depends on when and where it is made.
	image=$work/root.ext4
	list_files
	PATH=$PATH:/usr/sbin:/sbin
	export E2FSPROGS_FAKE_TIME=1767225600 MKE2FS_CONFIG=/dev/null
	mke2fs -q -F -b 16384 -N 2048 -m 0 -I 256 -L root -U 64697363-6f00-4000-8000-726f6f740000 \
		-E hash_seed=64697363-6f00-4000-8000-726f6f740001,lazy_itable_init=0,nodiscard,root_owner=0:0 \
		-O none,extent,filetype,dir_index,ext_attr,large_file,sparse_super \
		"$image" 128M > /dev/null 2> "$work/mke2fs.err" || die "mke2fs: $(cat "$work/mke2fs.err")"
	debugfs_commands < "$work/list" > "$work/commands"
	debugfs -w -f "$work/commands" "$image" > "$work/debugfs.out" 2> "$work/debugfs.err"
	# It goes on after a command that fails, and says so only here: after a line with its version.
	[ "$(wc -l < "$work/debugfs.err")" -eq 1 ] || die "debugfs: $(cat "$work/debugfs.err")"
	e2fsck -f -n "$image" > "$work/e2fsck.out" 2>&1 || die "e2fsck: $(cat "$work/e2fsck.out")"
	mv "$image" "$out/root.ext4"
	;;
*)
	die "no target $target"
	;;
esac
