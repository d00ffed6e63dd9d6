//! The benchmark against the board: rows of both sides, in counted instructions.

use super::compare::Comparison;
use super::progress::Progress;
use super::record::{Conditions, Record};
use super::rows::{self, Row};
use super::{sides, table};
use crate::build::{linux, monitor::Image};
use crate::cli::BenchArgs;
use crate::setup::toolchain::Toolchain;
use anyhow::Result;
use std::thread;

/// What a person wants of it, checked before anything is built.
pub struct Wishes<'a> {
    args: &'a BenchArgs,
    rows: Vec<Row>,
    then: Option<Record>,
}

impl<'a> Wishes<'a> {
    /// Of the command line.
    pub fn of(args: &'a BenchArgs) -> Result<Self> {
        Ok(Self {
            args,
            rows: rows::selected(&args.only)?,
            then: args.compare.as_deref().map(Record::read).transpose()?,
        })
    }

    /// The rows that are wanted.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Measures both sides and prints them. Ends with whether nothing is slower than what it is compared with.
    pub fn run(&self, toolchain: &Toolchain) -> Result<bool> {
        let record = measure(&self.rows, toolchain)?;
        print!("{}", table::of(&record));
        if let Some(json) = &self.args.json {
            record.write(json)?;
        }
        let Some(then) = &self.then else {
            return Ok(true);
        };
        let comparison = Comparison::of(then, &record, !self.args.only.is_empty());
        print!("\n{comparison}");
        Ok(comparison.is_met())
    }
}

fn measure(rows: &[Row], toolchain: &Toolchain) -> Result<Record> {
    let image = Image::build(toolchain)?;
    linux::build_bench()?;
    let progress = Progress::new();
    // Counted instructions do not depend on what else the host does.
    let (native, guest) = thread::scope(|scope| {
        let native = scope.spawn(|| sides::native(rows, progress.side("native", rows)));
        let guest = sides::guest(&image, rows, progress.side("guest", rows));
        (native.join(), guest)
    });
    let native = native.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let guest = guest?;
    let versions = [&*native.linux, &guest.linux];
    let conditions = Conditions::of(&image, &linux::bench_initramfs_path(), versions)?;
    Record::new(rows, &native, &guest, conditions)
}
