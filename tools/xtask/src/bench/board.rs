//! The benchmark against the board: rows of both sides in counted instructions, where they go, and what is written of it.

use super::compare::Comparison;
use super::page;
use super::progress::Progress;
use super::record::{Conditions, Record};
use super::rows::Row;
use super::selection::{Part, Selection};
use super::sides::Measured;
use super::{breakdown, machines, scaling, sides, table};
use crate::build::{linux, monitor::Image};
use crate::cli::BenchArgs;
use crate::paths;
use crate::run::magic;
use crate::setup::toolchain::Toolchain;
use anyhow::{ensure, Result};
use std::thread;

/// What a person wants of it, checked before anything is built.
pub struct Wishes<'a> {
    args: &'a BenchArgs,
    selection: Selection,
    then: Option<Record>,
}

impl<'a> Wishes<'a> {
    /// Of the command line.
    pub fn of(args: &'a BenchArgs) -> Result<Self> {
        Ok(Self {
            args,
            selection: Selection::of(&args.only)?,
            then: args.compare.as_deref().map(Record::read).transpose()?,
        })
    }

    /// The rows that are wanted.
    pub fn rows(&self) -> &[Row] {
        &self.selection.rows
    }

    /// Whether something that is wanted runs loads: rows of them, or machines that work side by side.
    pub fn have_loads(&self) -> bool {
        let side_by_side = [Part::Scaling, Part::Machines];
        sides::has_loads(self.rows()) || side_by_side.iter().any(|&part| self.selection.has(part))
    }

    /// Measures both sides and tells of them.
    pub fn run(&self, toolchain: &Toolchain) -> Result<bool> {
        let record = measure(&self.selection, toolchain)?;
        if let Some(json) = &self.args.json {
            record.write(json)?;
        }
        self.tell(&record)
    }

    /// Prints a record and writes its page. Ends with whether nothing is slower than what it is compared with.
    pub fn tell(&self, record: &Record) -> Result<bool> {
        print!("{}", table::of(record));
        print!("{}", scaling::table(&record.scaling));
        print!("{}", machines::table(&record.machines));
        let path = sides::folder().join("report.html");
        page::write(record, &path)?;
        println!("{}", paths::shown(&path));
        let Some(then) = &self.then else {
            return Ok(true);
        };
        let comparison = Comparison::of(then, record, !self.args.only.is_empty());
        print!("\n{comparison}");
        Ok(comparison.is_met())
    }
}

/// Whether the exact model can be believed with several CPUs: if it is all that is wanted it has to be, and otherwise it is
/// left out.
fn can_scale(selection: &Selection) -> Result<bool> {
    let can = magic::tells_cpus_apart();
    ensure!(can || selection.parts != [Part::Scaling], magic::WRONG_CPUS);
    if !can {
        eprintln!("scaling: left out: {}", magic::WRONG_CPUS);
    }
    Ok(can)
}

fn measure(selection: &Selection, toolchain: &Toolchain) -> Result<Record> {
    let image = Image::build(toolchain)?;
    let rows = &*selection.rows;
    sides::build(rows)?;
    let kernels = [
        linux::bench_native_kernel_path(),
        linux::bench_kernel_path(),
    ];
    let [native, guest] = &kernels;
    let conditions = Conditions::of(&image, &linux::bench_initramfs_path(), [native, guest])?;
    let mut record = if selection.has(Part::Rows) {
        let [native, guest] = both_sides(rows, &image)?;
        Record::new(rows, &native, &guest, conditions)?
    } else {
        Record::new(&[], &Measured::default(), &Measured::default(), conditions)?
    };
    if selection.has(Part::Breakdown) {
        record.breakdown = breakdown::measure(rows, toolchain)?;
    }
    if selection.has(Part::Scaling) && can_scale(selection)? {
        record.scaling = scaling::measure(&image)?;
    }
    if selection.has(Part::Machines) {
        record.machines = machines::measure(&image)?;
    }
    Ok(record)
}

/// The board's figures and the guest's.
fn both_sides(rows: &[Row], image: &Image) -> Result<[Measured; 2]> {
    let progress = Progress::new();
    // Counted instructions do not depend on what else the host does.
    let (native, guest) = thread::scope(|scope| {
        let native = scope.spawn(|| sides::native(rows, progress.side("native", rows)));
        let guest = sides::guest(image, rows, progress.side("guest", rows));
        (native.join(), guest)
    });
    let native = native.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    Ok([native, guest?])
}
