# GNU make, the Portable C Compiler, and what it compiles.
unpack "$MAKE_TARBALL" make
# The package's archive has no configure, and needs tools to make one.
cp "$load/make-config.h" "$work/make/src/config.h"
"$CC" $CFLAGS -w -DHAVE_CONFIG_H -I"$work/make/src" -I"$work/make/lib" -o "$tree/make" \
	$(ls "$work"/make/src/*.c | grep -v 'amiga\|vms\|cstms\|w32\|getopt')
unpack "$PCC_TARBALL" pcc
# These two lines set up the host's own x87, which is not there.
sed -i '/fstcw (\|fldcw (/d' "$work/pcc/arch/amd64/code.c"
(cd "$work/pcc" && CC="$CC" CFLAGS="-O2 -w -fcommon" LDFLAGS="-static -s" ./configure --host=mips64-linux-gnu \
	--target=x86_64-unknown-linux-gnu > /dev/null && make -s -C cc/cpp > /dev/null 2>&1 && make -s -C cc/ccom > /dev/null 2>&1)
unpack "$MUSL_TARBALL" musl
make -s -C "$work/musl" install-headers ARCH=x86_64 prefix="$work/musl-installed" > /dev/null
unpack "$LUA_TARBALL" lua
unpack "$ZLIB_TARBALL" zlib

mkdir "$tree/lua" "$tree/zlib"
cp "$work/pcc/cc/cpp/x86_64-unknown-linux-gnu-cpp" "$tree/cpp"
cp "$work/pcc/cc/ccom/x86_64-unknown-linux-gnu-ccom" "$tree/ccom"
cp -R "$work/musl-installed/include" "$tree/headers"
cp "$work"/lua/src/*.[ch] "$tree/lua"
cp "$work"/zlib/*.[ch] "$tree/zlib"
"$CC" $CFLAGS -Wall -Wextra -I"$here/measure" -o "$tree/timed" "$load/timed.c" "$here"/measure/*.c
cp "$load/Makefile" "$load/run" "$tree"
# What comes out is the same in QEMU's user emulation.
mkdir -p "$work/out/lua" "$work/out/zlib"
make -s -C "$tree" -j"$jobs" OUT="$work/out" RUN="qemu-mips64 -cpu I6400"
(cd "$work/out" && cat lua/*.s zlib/*.s) | md5sum | sed 's/^\([0-9a-f]*\).*/result \1/' > "$tree/expected"
