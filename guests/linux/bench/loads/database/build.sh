# SQLite in one file, with a program of ours.
unpack "$SQLITE_TARBALL" sqlite
(cd "$work/sqlite" && ./configure --disable-shared > /dev/null && make -s sqlite3.c sqlite3.h > /dev/null)
"$CC" $CFLAGS -w -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -I"$here/measure" -I"$work/sqlite" \
	-o "$tree/database" "$load/main.c" "$here"/measure/*.c "$work/sqlite/sqlite3.c"
cp "$load/queries.sql" "$tree/queries.sql"
emulate ./database make orders.db "$load/schema.sql"
echo './database orders.db queries.sql "$@"' > "$tree/run"
