//! What commands need of the machine, how it is recognised, and which packages bring it.

use super::source;
use super::toolchain::Toolchain;
use crate::build::linux::loads;
use crate::build::mips_linux;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the cross C library lies.
const CROSS_ROOT: &str = "/usr/mipsisa64r6-linux-gnuabi64";

/// Makes an ext4 file system. In a folder that is not in everybody's PATH.
const MAKE_FILE_SYSTEM: &str = "/usr/sbin/mke2fs";
/// Checks one.
pub const CHECK_FILE_SYSTEM: &str = "/usr/sbin/e2fsck";

/// Something a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// QEMU for MIPS.
    Emulator,
    /// QEMU's user emulation for MIPS.
    UserEmulator,
    /// A Rust compiler with the source of its library.
    Compiler,
    /// A linker for MIPS.
    Linker,
    /// A C compiler for MIPS64 release 6.
    CrossCompiler,
    /// The C library for it.
    CrossLibrary,
    /// What Linux's and busybox's builds use on the host.
    BuildTools,
    /// What makes and checks file systems.
    FileSystemTools,
    /// The distribution's source of Linux.
    LinuxSource,
    /// The distribution's source of busybox.
    BusyboxSource,
    /// What builds the loads of the benchmark, beside what Linux wants.
    LoadTools,
    /// The distribution's sources of the loads of the benchmark.
    LoadSources,
}

/// Programs that [`Need::BuildTools`] stands for.
const TOOLS: &[&str] = &[
    "bc", "bison", "bzip2", "cc", "cpio", "debugfs", "e2fsck", "flex", "make", "mke2fs", "patch",
    "xz",
];

/// Programs that [`Need::LoadTools`] stands for.
const LOAD_TOOLS: &[&str] = &["mipsisa64r6-linux-gnuabi64-g++", "tclsh", "verilator"];

impl Need {
    /// Everything.
    pub const ALL: &'static [Self] = &[
        Self::Emulator,
        Self::UserEmulator,
        Self::Compiler,
        Self::Linker,
        Self::CrossCompiler,
        Self::CrossLibrary,
        Self::BuildTools,
        Self::FileSystemTools,
        Self::LinuxSource,
        Self::BusyboxSource,
        Self::LoadTools,
        Self::LoadSources,
    ];
    /// To compile for the board.
    pub const MONITOR: &'static [Self] = &[Self::Compiler, Self::Linker];
    /// To run the host tests on big-endian MIPS.
    pub const BIG_ENDIAN: &'static [Self] = &[
        Self::UserEmulator,
        Self::Compiler,
        Self::CrossCompiler,
        Self::CrossLibrary,
    ];
    /// To build Linux and its user land.
    pub const LINUX: &'static [Self] = &[
        Self::CrossCompiler,
        Self::CrossLibrary,
        Self::BuildTools,
        Self::FileSystemTools,
        Self::LinuxSource,
        Self::BusyboxSource,
    ];
    /// To build the loads of the benchmark, beside Linux.
    pub const LOADS: &'static [Self] = &[Self::UserEmulator, Self::LoadTools, Self::LoadSources];

    /// What it is.
    pub fn name(self) -> &'static str {
        match self {
            Self::Emulator => "QEMU for MIPS",
            Self::UserEmulator => "QEMU's user emulation",
            Self::Compiler => "Rust with its library's source",
            Self::Linker => "the linker lld",
            Self::CrossCompiler => "the C compiler for MIPS64 release 6",
            Self::CrossLibrary => "the C library for MIPS64 release 6",
            Self::BuildTools => "the tools of Linux's build",
            Self::FileSystemTools => "the tools of ext4",
            Self::LinuxSource => "Linux's source",
            Self::BusyboxSource => "busybox's source",
            Self::LoadTools => "the tools of the benchmark's loads",
            Self::LoadSources => "the sources of the benchmark's loads",
        }
    }

    /// What it is for.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Emulator => "the board that everything runs on",
            Self::UserEmulator => {
                "runs the host tests big-endian, and the benchmark's loads when they are built"
            }
            Self::Compiler => "compiles the monitor and the test guests",
            Self::Linker => "links the monitor and the test guests",
            Self::CrossCompiler | Self::CrossLibrary => {
                "compiles the Linux guest, links the big-endian host tests"
            }
            Self::BuildTools => "builds the Linux guest",
            Self::FileSystemTools => {
                "makes the Linux guest's root disk, checks disks after a power cut"
            }
            Self::LinuxSource => "the Linux guest's kernel",
            Self::BusyboxSource => "the Linux guest's user land, fetched without root",
            Self::LoadTools => "builds the benchmark's loads",
            Self::LoadSources => "the benchmark's loads, fetched without root",
        }
    }

    /// The packages that bring it.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Emulator => &["qemu-system-mips"],
            Self::UserEmulator => &["qemu-user"],
            Self::Compiler => &["cargo-web", "rust-web-src", "rustc-web"],
            Self::Linker => &["lld"],
            Self::CrossCompiler => &["gcc-mipsisa64r6-linux-gnuabi64"],
            Self::CrossLibrary => &["libc6-dev-mips64r6-cross"],
            Self::BuildTools => &[
                "bc",
                "bison",
                "bzip2",
                "cpio",
                "e2fsprogs",
                "flex",
                "gcc",
                "libc6-dev",
                "libssl-dev",
                "make",
                "patch",
                "xz-utils",
            ],
            Self::FileSystemTools => &["e2fsprogs"],
            Self::LinuxSource => &["linux-source"],
            Self::LoadTools => &["g++-mipsisa64r6-linux-gnuabi64", "tcl", "verilator"],
            Self::BusyboxSource | Self::LoadSources => &[],
        }
    }

    /// What was found, in a few words, or `None` if it is missing.
    pub fn found(self) -> Option<String> {
        match self {
            Self::Emulator => version_of(crate::run::qemu::PROGRAM),
            Self::UserEmulator => version_of(mips_linux::EMULATOR_PROGRAM),
            Self::Compiler => Toolchain::find()
                .map(|found| format!("{} in {}", found.version, found.sysroot.display())),
            Self::Linker => version_of("ld.lld"),
            Self::CrossCompiler => version_of(mips_linux::LINKER),
            Self::CrossLibrary => ["lib/libc.a", "include/linux/limits.h"]
                .iter()
                .all(|file| Path::new(CROSS_ROOT).join(file).exists())
                .then(|| CROSS_ROOT.to_owned()),
            Self::BuildTools => {
                let headers = Path::new("/usr/include/openssl/ssl.h").exists();
                let tools = TOOLS.iter().all(|program| in_path(program).is_some());
                (headers && tools).then(|| "all there".to_owned())
            }
            Self::FileSystemTools => [MAKE_FILE_SYSTEM, CHECK_FILE_SYSTEM]
                .iter()
                .all(|program| Path::new(program).exists())
                .then(|| format!("{MAKE_FILE_SYSTEM}, {CHECK_FILE_SYSTEM}")),
            Self::LinuxSource => source::linux().map(|path| path.display().to_string()),
            Self::BusyboxSource => source::busybox().map(|path| path.display().to_string()),
            Self::LoadTools => LOAD_TOOLS
                .iter()
                .all(|program| in_path(program).is_some())
                .then(|| "all there".to_owned()),
            Self::LoadSources => {
                let mut packages = loads::packages();
                packages
                    .all(|name| source::package(name).is_some())
                    .then(|| "all there".to_owned())
            }
        }
    }
}

/// Where a program is. Not everybody's path has the folder for those of root, which anybody may start.
pub fn in_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// The first line of what `program --version` prints.
pub fn version_of(program: &str) -> Option<String> {
    let output = Command::new(in_path(program)?)
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output
        .status
        .success()
        .then(|| text.lines().next().unwrap_or_default().to_owned())
}
