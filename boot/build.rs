//! Hands the linker script to the linker.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../linker.ld");
    println!("cargo:rerun-if-changed={script}");
    println!("cargo:rustc-link-arg=--script={script}");
}
