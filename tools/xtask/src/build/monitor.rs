//! Builds the monitor for the board, and takes its ELF file apart for the flash.

use crate::setup::toolchain::Toolchain;
use crate::{paths, process};
use anyhow::{bail, ensure, Context, Result};
use disco_flash::RESET_SIZE;
use object::{Object, ObjectSection, ObjectSegment};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What Rust's compiler is told to build for.
const TARGET: &str = "mips64-disco";
/// Where the monitor that boots is built.
const FOLDER: &str = "mips64-monitor";
/// Segments from here on are not part of the image: the reset code, which runs in the flash.
const KSEG: u64 = 0xffff_ffff_8000_0000;
/// The monitor says nothing with `{:?}`; without the code for it, it is 4 KiB smaller.
const WITHOUT_DEBUG: &str = "-Zfmt-debug=none";
/// Nothing of `core` is in a path that a guest takes often: formatting, mostly. In Cargo.toml it would have cargo warn of
/// each build for the host, which has no such package.
const SMALL_CORE: &str = "--config=profile.release.package.core.opt-level=\"z\"";

/// A cargo command that builds for the board with the standard library's own source.
pub fn cargo(toolchain: &Toolchain, verb: &str) -> Command {
    let mut command = toolchain.cargo_with_source();
    command
        .args([verb, "--release", "-Zjson-target-spec"])
        .arg("-Zbuild-std=core,alloc,compiler_builtins")
        .arg("-Zbuild-std-features=compiler-builtins-mem,optimize_for_size")
        .arg(SMALL_CORE)
        .arg("--target")
        .arg(paths::root().join(format!(".cargo/{TARGET}.json")))
        .env("CARGO_TARGET_DIR", paths::target().join("mips64"));
    command
}

/// Where cargo puts what [`cargo`] builds.
pub fn output_folder() -> PathBuf {
    paths::target().join("mips64").join(TARGET).join("release")
}

/// Compiles the monitor and returns its ELF file's path.
pub fn build(toolchain: &Toolchain) -> Result<PathBuf> {
    build_in(FOLDER, &[], toolchain)
}

/// The ELF file that [`build`] wrote last.
pub fn file() -> PathBuf {
    file_in(FOLDER)
}

fn file_in(folder: &str) -> PathBuf {
    paths::target()
        .join(folder)
        .join(TARGET)
        .join("release/disco-boot")
}

/// Compiles the monitor with `arguments` of cargo's, in a folder of its own.
fn build_in(folder: &str, arguments: &[&str], toolchain: &Toolchain) -> Result<PathBuf> {
    let mut command = cargo(toolchain, "build");
    command
        .args(arguments)
        .args(["--package", "disco-boot", "--target-dir"])
        .arg(paths::target().join(folder))
        .env("RUSTFLAGS", WITHOUT_DEBUG);
    process::run_step("monitor: compile", "monitor", &mut command)?;
    Ok(file_in(folder))
}

/// The monitor's ELF file as the flash needs it.
#[derive(Clone)]
pub struct Image {
    /// The reset code.
    pub reset: Vec<u8>,
    /// What is copied into RAM.
    pub bytes: Vec<u8>,
    /// Bytes to clear behind it.
    pub bss: u64,
    /// Where the copy goes.
    pub load_address: u64,
    /// Where it is entered.
    pub entry: u64,
}

impl Image {
    /// Flattens an ELF file: everything outside the reset code from the lowest address up to
    /// the end of the highest data, gaps filled with 0.
    pub fn from_elf(elf: &[u8]) -> Result<Self> {
        let file = object::File::parse(elf).context("not an ELF file")?;
        let reset = file
            .section_by_name(".reset")
            .context("there is no section .reset")?;
        let reset = reset.data()?.to_vec();
        ensure!(
            reset.len() <= RESET_SIZE,
            "the reset code has {} bytes, and there is room for {RESET_SIZE}",
            reset.len()
        );
        let segments: Vec<_> = file
            .segments()
            .filter(|segment| segment.address() < KSEG && segment.size() > 0)
            .collect();
        let Some(load_address) = segments.iter().map(|segment| segment.address()).min() else {
            bail!("there is nothing to load");
        };
        let mut bytes = Vec::new();
        let mut memory_end = 0;
        for segment in &segments {
            let start = usize::try_from(segment.address() - load_address)?;
            let data = segment.data()?;
            ensure!(
                start + data.len() <= disco_flash::FLASH_SIZE,
                "the image is larger than the flash"
            );
            bytes.resize(bytes.len().max(start + data.len()), 0);
            bytes[start..start + data.len()].copy_from_slice(data);
            memory_end = memory_end.max(start as u64 + segment.size());
        }
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let bss = memory_end
            .saturating_sub(bytes.len() as u64)
            .next_multiple_of(16);
        Ok(Self {
            reset,
            bytes,
            bss,
            load_address,
            entry: file.entry(),
        })
    }

    /// Builds the monitor and flattens it.
    pub fn build(toolchain: &Toolchain) -> Result<Self> {
        Self::of_file(&build(toolchain)?)
    }

    /// The monitor into which a defect can be seeded ([`Image::seed`]).
    pub fn build_with_defects(toolchain: &Toolchain) -> Result<Self> {
        let features = ["--features", "defects"];
        Self::of_file(&build_in("mips64-defects", &features, toolchain)?)
    }

    /// Chooses the defect that a monitor built for it has; 0 for none.
    pub fn seed(&mut self, defect: u64) -> Result<()> {
        // `kernel/src/vm/defect.rs`: a mark, and the number behind it.
        const MARK: u64 = 0x4449_5343_4f44_4546;
        let words = || self.bytes.chunks_exact(8);
        let place = words().position(|word| word == MARK.to_be_bytes());
        let place = place.context("no place for defects in the monitor")?;
        self.bytes[8 * place + 8..][..8].copy_from_slice(&defect.to_be_bytes());
        Ok(())
    }

    fn of_file(path: &Path) -> Result<Self> {
        let elf = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::from_elf(&elf).with_context(|| format!("{}", path.display()))
    }
}
