//! The count of one CPU, as it goes on.

use crate::block::Block;
use crate::stay::{Kind, Stays};
use disco_flash_model::block::{Marker, Mode};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The window that is open from the start until the first other one begins.
pub const START: u8 = 0;

/// All that was counted in a span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Instructions by mode.
    pub modes: [u64; Mode::COUNT],
    /// Stays in the monitor (on the bare board: in the kernel).
    pub stays: Stays,
}

/// A window, of all times that it was open.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// How often it was ended.
    pub times: u64,
    /// What was counted in it.
    pub counts: Counts,
}

/// What is only touched when the mode changes.
#[derive(Default)]
struct Settled {
    counts: Counts,
    /// Instructions of the present stay that were settled before.
    stay: u64,
    /// The guest's last instruction before it.
    trapped: u32,
    started: bool,
    open: BTreeMap<u8, Counts>,
    ended: BTreeMap<u8, Window>,
}

/// A CPU. It counts on its own thread; anybody may ask for the windows.
#[derive(Default)]
pub struct Cpu {
    /// The mode that `pending` is of.
    mode: AtomicU8,
    /// Instructions since that mode began.
    pending: AtomicU64,
    /// The last instruction of the block before.
    last: AtomicU32,
    /// Points passed in this stay.
    points: AtomicU64,
    /// The guest's `$v0` in this stay.
    value: AtomicU64,
    /// The monitor has nothing to run.
    idle: AtomicBool,
    settled: Mutex<Settled>,
}

fn increase(counter: &AtomicU64, by: u64) {
    // No read-modify-write is needed with one writer.
    counter.store(counter.load(Relaxed) + by, Relaxed);
}

impl Cpu {
    /// One whose first window is open from its first instruction on: that of a bare board. The default is one that
    /// first runs a monitor's own start, which is not of interest.
    pub fn from_the_start() -> Self {
        let cpu = Self::default();
        let mut settled = cpu.settle();
        settled.started = true;
        settled.begin(START);
        drop(settled);
        cpu
    }

    /// A block of code begins.
    #[inline]
    pub fn enter(&self, block: Block) {
        let is_idle = block.mode == Mode::Monitor && self.idle.load(Relaxed);
        let mode = if is_idle { Mode::Idle } else { block.mode };
        if mode as u8 != self.mode.load(Relaxed) {
            self.change_mode(mode);
        }
        self.last.store(block.last, Relaxed);
        increase(&self.pending, u64::from(block.first));
    }

    /// A block of code begins that is an exception vector. What was under way there is another stay: the guest has
    /// come back without having executed anything.
    #[inline]
    pub fn enter_vector(&self, block: Block) {
        if !is_guest(self.mode.load(Relaxed)) {
            let mut settled = self.settle();
            settled.end_stay(self.points.swap(0, Relaxed), self.value.load(Relaxed));
        }
        self.enter(block);
    }

    /// Instructions of the block are done.
    #[inline]
    pub fn step(&self, instructions: u64) {
        increase(&self.pending, instructions);
    }

    /// Points are passed, a bit each.
    #[inline]
    pub fn pass(&self, points: u64) {
        self.points
            .store(self.points.load(Relaxed) | points, Relaxed);
    }

    /// The guest's `$v0` of this stay.
    #[inline]
    pub fn value(&self, value: u64) {
        self.value.store(value, Relaxed);
    }

    /// A marker is executed.
    pub fn mark(&self, marker: Marker) {
        match marker {
            Marker::Idle | Marker::Busy => {
                let is_idle = marker == Marker::Idle;
                self.idle.store(is_idle, Relaxed);
                self.change_mode(if is_idle { Mode::Idle } else { Mode::Monitor });
            }
            Marker::Begin(window) => {
                let mut settled = self.settle();
                settled.end(START);
                settled.begin(window);
            }
            Marker::End(window) => self.settle().end(window),
            Marker::Report | Marker::Moving | Marker::Moved => {}
        }
    }

    /// The windows that were ended.
    pub fn windows(&self) -> BTreeMap<u8, Window> {
        self.settle().ended.clone()
    }

    /// Brings what is pending to its mode.
    fn settle(&self) -> MutexGuard<'_, Settled> {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        let mode = self.mode.load(Relaxed);
        let instructions = self.pending.swap(0, Relaxed);
        if let Some(counter) = settled.counts.modes.get_mut(usize::from(mode)) {
            *counter += instructions;
        }
        if mode == Mode::Monitor as u8 {
            settled.stay += instructions;
        }
        settled
    }

    #[cold]
    fn change_mode(&self, mode: Mode) {
        let mut settled = self.settle();
        let was_guest = is_guest(self.mode.load(Relaxed));
        if was_guest && !is_guest(mode as u8) {
            settled.trapped = self.last.load(Relaxed);
            settled.stay = 0;
            self.points.store(0, Relaxed);
        }
        if !was_guest && is_guest(mode as u8) {
            settled.end_stay(self.points.load(Relaxed), self.value.load(Relaxed));
        }
        self.mode.store(mode as u8, Relaxed);
        if !settled.started && mode == Mode::GuestKernel {
            // What came before was the monitor's own start.
            settled.started = true;
            settled.begin(START);
        }
    }
}

fn is_guest(mode: u8) -> bool {
    mode == Mode::User as u8 || mode == Mode::GuestKernel as u8
}

impl Settled {
    /// A stay ends that has passed `points`; another one may begin.
    fn end_stay(&mut self, points: u64, value: u64) {
        let kind = Kind::of(points, self.trapped, value);
        let instructions = std::mem::take(&mut self.stay);
        self.counts.stays.add(kind, instructions);
    }

    /// A window begins; one that is open begins anew.
    fn begin(&mut self, number: u8) {
        self.open.insert(number, self.counts.clone());
    }

    /// A window ends; one that is not open stays as it is.
    fn end(&mut self, number: u8) {
        let Some(before) = self.open.remove(&number) else {
            return;
        };
        let window = self.ended.entry(number).or_default();
        window.times += 1;
        let modes = window.counts.modes.iter_mut();
        for (mode, (now, before)) in modes.zip(self.counts.modes.iter().zip(before.modes)) {
            *mode += now - before;
        }
        let stays = &mut window.counts.stays;
        stays.add_difference(&self.counts.stays, &before.stays);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stay::Sum;
    use disco_magic::point;

    fn enter(cpu: &Cpu, mode: Mode, first: u16, last: u32) {
        cpu.enter(Block { mode, first, last });
    }

    #[test]
    fn a_stay_goes_from_the_trap_to_the_guests_next_instruction() {
        const MTC0: u32 = 0x4082_5800;
        let cpu = Cpu::default();
        enter(&cpu, Mode::Monitor, 1000, 0);
        enter(&cpu, Mode::GuestKernel, 10, 0);
        cpu.mark(Marker::Begin(1));
        enter(&cpu, Mode::GuestKernel, 5, MTC0);
        enter(&cpu, Mode::Monitor, 20, 0);
        cpu.pass(1 << point::GENERAL);
        cpu.pass(1 << point::PRIVILEGED);
        enter(&cpu, Mode::Monitor, 2, 0);
        cpu.step(3);
        enter(&cpu, Mode::GuestKernel, 4, 0);
        enter(&cpu, Mode::User, 6, 0);
        cpu.mark(Marker::End(1));
        enter(&cpu, Mode::User, 100, 0);
        let windows = cpu.windows();
        let counts = &windows[&1].counts;
        assert_eq!(counts.modes, [6, 9, 25, 0, 0]);
        let points = 1 << point::GENERAL | 1 << point::PRIVILEGED;
        let kind = Kind::of(points, MTC0, 0);
        let sum = Sum {
            entries: 1,
            instructions: 25,
        };
        assert_eq!(counts.stays.0, [(kind, sum)].into());
        // The monitor's start is in no window, the guest's is.
        assert_eq!(windows[&START].counts.modes, [0, 10, 0, 0, 0]);
    }

    #[test]
    fn a_vector_begins_another_stay() {
        let cpu = Cpu::default();
        enter(&cpu, Mode::GuestKernel, 1, 0);
        cpu.mark(Marker::Begin(1));
        let vector = |first| Block {
            mode: Mode::Monitor,
            first,
            last: 0,
        };
        cpu.enter_vector(vector(20));
        cpu.pass(1 << point::ERET);
        enter(&cpu, Mode::Monitor, 36, 0);
        cpu.enter_vector(vector(30));
        cpu.pass(1 << point::SECOND_LEVEL);
        enter(&cpu, Mode::User, 1, 0);
        cpu.mark(Marker::End(1));
        let stays = &cpu.windows()[&1].counts.stays.0;
        let of = |point: u64| stays[&Kind::of(1 << point, 0, 0)].instructions;
        assert_eq!(
            (stays.len(), of(point::ERET), of(point::SECOND_LEVEL)),
            (2, 56, 30)
        );
    }

    #[test]
    fn waiting_is_no_part_of_a_stay() {
        let cpu = Cpu::default();
        enter(&cpu, Mode::GuestKernel, 1, 0);
        cpu.mark(Marker::Begin(2));
        enter(&cpu, Mode::Monitor, 7, 0);
        cpu.mark(Marker::Idle);
        cpu.step(30);
        enter(&cpu, Mode::Monitor, 10, 0);
        cpu.mark(Marker::Busy);
        cpu.step(2);
        enter(&cpu, Mode::GuestKernel, 1, 0);
        cpu.mark(Marker::End(2));
        let counts = &cpu.windows()[&2].counts;
        assert_eq!(counts.modes, [0, 1, 9, 40, 0]);
        let sums: Vec<_> = counts.stays.0.values().copied().collect();
        assert_eq!((sums.len(), sums[0].instructions), (1, 9));
    }

    #[test]
    fn a_window_that_comes_again_adds_up() {
        let cpu = Cpu::default();
        enter(&cpu, Mode::GuestKernel, 1, 0);
        for _ in 0..2 {
            cpu.mark(Marker::Begin(3));
            enter(&cpu, Mode::User, 5, 0);
            cpu.mark(Marker::End(3));
            enter(&cpu, Mode::User, 50, 0);
        }
        let windows = cpu.windows();
        assert_eq!((windows[&3].times, windows[&3].counts.modes[0]), (2, 10));
    }
}
