# Tachyon as a library, with a program of ours.
unpack "$TACHYON_TARBALL" tachyon
rm "$work/tachyon/src/parvol.c" # old code that nothing uses
"$CC" $CFLAGS -w -DTHR -D_REENTRANT -DUSEPOSIXTHREADS -DLinux -I"$here/measure" -I"$work/tachyon/src" \
	-o "$tree/raytrace" "$load/main.c" "$here"/measure/*.c "$work"/tachyon/src/*.c -lm -pthread
cc -O2 -o "$work/terrain" "$load/terrain.c"
"$work/terrain" > "$tree/terrain"
echo './raytrace terrain "$@"' > "$tree/run"
