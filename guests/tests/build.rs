//! Hands the linker script to the linker. A guest runs where it is linked.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/guest.ld");
    println!("cargo:rerun-if-changed={script}");
    println!("cargo:rustc-link-arg=--script={script}");
    println!("cargo:rustc-link-arg=--no-pie");
}
