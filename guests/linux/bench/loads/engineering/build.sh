# A CPU of ours as a C++ model that Verilator makes of it.
verilator -O3 -Wno-fatal --cc --top-module cpu --Mdir "$work/model" "$load/cpu.v"
include=$(verilator --getenv VERILATOR_ROOT)/include
for source in "$here"/measure/*.c; do
	"$CC" -O2 -c -o "$work/$(basename "$source" .c).o" "$source"
done
"$CXX" $CFLAGS -std=gnu++17 -w -DVM_COVERAGE=0 -DVM_SC=0 -DVM_TRACE=0 -DVL_IGNORE_UNKNOWN_ARCH \
	-I"$here/measure" -I"$work/model" -I"$include" -I"$include/vltstd" -o "$tree/engineering" \
	"$load/main.cpp" "$work"/model/*.cpp "$include/verilated.cpp" "$include/verilated_threads.cpp" "$work"/*.o -pthread
echo './engineering "$@"' > "$tree/run"
