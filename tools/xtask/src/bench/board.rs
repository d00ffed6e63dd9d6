//! The benchmark against the board: rows of both sides in counted instructions, where they go, and what is written of it.

use super::compare::Comparison;
use super::page;
use super::progress::Progress;
use super::record::{Conditions, Record};
use super::rows::Row;
use super::selection::{Part, Selection};
use super::{breakdown, sides, table};
use crate::build::{linux, monitor::Image};
use crate::cli::BenchArgs;
use crate::paths;
use crate::setup::toolchain::Toolchain;
use anyhow::Result;
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

fn measure(selection: &Selection, toolchain: &Toolchain) -> Result<Record> {
    let image = Image::build(toolchain)?;
    linux::build_bench()?;
    let rows = &*selection.rows;
    let asked = if selection.has(Part::Rows) { rows } else { &[] };
    let progress = Progress::new();
    // Counted instructions do not depend on what else the host does.
    let (native, guest) = thread::scope(|scope| {
        let native = scope.spawn(|| sides::native(asked, progress.side("native", asked)));
        let guest = sides::guest(&image, asked, progress.side("guest", asked));
        (native.join(), guest)
    });
    let native = native.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let guest = guest?;
    let versions = [&*native.linux, &guest.linux];
    let conditions = Conditions::of(&image, &linux::bench_initramfs_path(), versions)?;
    let mut record = Record::new(asked, &native, &guest, conditions)?;
    if selection.has(Part::Breakdown) {
        record.breakdown = breakdown::measure(rows, toolchain)?;
    }
    Ok(record)
}
