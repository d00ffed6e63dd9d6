//! What is written when the machine ends, or when a guest says so: JSON.

use crate::count::{Cpu, Window};
use disco_flash_model::block::Mode;
use disco_magic::point;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole report.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Windows by number; that of the start is 0.
    pub windows: Vec<WindowReport>,
}

/// A window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WindowReport {
    /// Its number.
    pub window: u8,
    /// How often it was begun and ended.
    pub times: u64,
    /// Instructions by mode: user, guest_kernel, monitor, idle.
    pub modes: BTreeMap<String, u64>,
    /// Stays in the monitor.
    pub stays: Vec<StayReport>,
}

/// Stays of one kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StayReport {
    /// Names of the points that they passed.
    pub points: Vec<String>,
    /// The instruction that trapped, where it matters; else 0.
    pub instruction: u32,
    /// The number of the monitor call, of stays that are one; else 0.
    pub call: u64,
    /// How many.
    pub entries: u64,
    /// What they took together.
    pub instructions: u64,
}

impl Report {
    /// Of what `cpu` has counted.
    pub fn of(cpu: &Cpu) -> Self {
        let windows = cpu.windows();
        let windows = windows
            .iter()
            .map(|(number, window)| WindowReport::of(*number, window));
        Self {
            windows: windows.collect(),
        }
    }
}

impl WindowReport {
    fn of(number: u8, window: &Window) -> Self {
        let modes = Mode::NAMES.iter().map(|name| (*name).to_owned());
        let stays = window.counts.stays.0.iter();
        Self {
            window: number,
            times: window.times,
            modes: modes.zip(window.counts.modes).collect(),
            stays: stays
                .map(|(kind, sum)| StayReport {
                    points: names(kind.points),
                    instruction: kind.instruction,
                    call: kind.call,
                    entries: sum.entries,
                    instructions: sum.instructions,
                })
                .collect(),
        }
    }
}

fn names(points: u64) -> Vec<String> {
    let names = point::NAMES.iter().enumerate();
    names
        .filter(|(number, _)| points >> number & 1 != 0)
        .map(|(_, name)| (*name).to_owned())
        .collect()
}
