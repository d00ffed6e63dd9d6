//! Hands the linker script to the linker, for a virtual machine: these guests, those of `guests/numa` too, run nowhere else.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../bare/place.ld");
    println!("cargo:rerun-if-changed={script}");
    for argument in [
        &format!("--script={script}"),
        "--defsym=place_base=0xffffffffc0000000",
        "--defsym=place_kind=2",
        "--no-pie",
    ] {
        println!("cargo:rustc-link-arg={argument}");
    }
}
