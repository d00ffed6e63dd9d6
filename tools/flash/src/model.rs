//! The machine's memory system: caches of each CPU, the directory, and what everything costs.

use crate::block::{Block, Marker, Mode, Step};
use crate::cache::{Cache, Line, State};
use crate::counts::{ByMode, Count, Counts, Tally};
use crate::directory::Directory;
use crate::options::{Options, PAGE_BYTES, RAM_BASE};
use crate::pages::Pages;
use crate::window::{Snapshot, Windows};
use disco_magic::{Geometry, Miss, Region};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One CPU.
struct Cpu {
    node: usize,
    instructions: Cache,
    data: Cache,
    second: Cache,
    tally: Tally,
    /// It has said that it has nothing to run.
    idle: AtomicBool,
    /// It has said that it moves pages.
    moving: AtomicBool,
}

/// What only one CPU at a time may change.
pub(crate) struct Shared {
    directory: Directory,
    pub(crate) pages: Pages,
    pub(crate) windows: Windows,
    region: Option<Region<'static>>,
}

/// The model. CPUs may call it at the same time, each from its own thread.
pub struct Model {
    pub(crate) options: Options,
    line_shift: u32,
    /// The node of each page.
    homes: Vec<u8>,
    cpus: Vec<Cpu>,
    shared: Mutex<Shared>,
}

/// A CPU's first level, or the half of it that is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Instructions,
    Data,
}

impl Model {
    /// A machine with empty caches.
    pub fn new(options: Options) -> Self {
        let line = options.line_bytes;
        let cpus = options.cpu_nodes.iter().map(|&node| Cpu {
            node,
            instructions: Cache::new(options.l1, line),
            data: Cache::new(options.l1, line),
            second: Cache::new(options.l2, line),
            tally: Tally::default(),
            idle: AtomicBool::new(false),
            moving: AtomicBool::new(false),
        });
        let cpus = cpus.collect();
        let pages = (options.memory / u64::from(PAGE_BYTES)) as usize;
        let home = |page: usize| {
            let offset = page as u64 * u64::from(PAGE_BYTES);
            options
                .node_starts
                .partition_point(|start| *start <= offset) as u8
                - 1
        };
        let shared = Shared {
            directory: Directory::new((options.memory / u64::from(line)) as usize),
            pages: Pages::new(pages, options.node_starts.len()),
            windows: Windows::default(),
            region: None,
        };
        Self {
            line_shift: line.trailing_zeros(),
            homes: (0..pages).map(home).collect(),
            cpus,
            shared: Mutex::new(shared),
            options,
        }
    }

    /// What the region for the monitor counts.
    pub fn geometry(&self) -> Geometry {
        Geometry {
            nodes: self.options.node_starts.len() as u32,
            page_bytes: PAGE_BYTES,
            first_page: (RAM_BASE / u64::from(PAGE_BYTES)) as u32,
            pages: self.homes.len() as u32,
        }
    }

    /// Misses are counted in this region too from now on.
    pub fn count_in(&self, region: Region<'static>) {
        self.shared().region = Some(region);
    }

    /// A CPU enters a block of code.
    #[inline]
    pub fn enter(&self, cpu: usize, block: Block) {
        let Some(own) = self.cpus.get(cpu) else {
            return;
        };
        let mode = own.mode(block.mode);
        own.tally.add(mode, Count::Instructions, block.first.into());
        let Some(offset) = block.offset.filter(|_| block.all > 0) else {
            return;
        };
        let last = (u64::from(offset) + u64::from(block.all) * 4 - 1).min(self.options.memory - 1);
        if u64::from(offset) > last {
            return;
        }
        for line in offset >> self.line_shift..=(last >> self.line_shift) as u32 {
            if own.instructions.look_up(line).is_none() {
                self.miss(cpu, mode, Half::Instructions, line, false);
            }
        }
    }

    /// An instruction has not stopped its block.
    #[inline]
    pub fn step(&self, cpu: usize, step: Step) {
        let Some(own) = self.cpus.get(cpu) else {
            return;
        };
        if step.following > 0 {
            let mode = own.mode(step.mode);
            own.tally
                .add(mode, Count::Instructions, step.following.into());
        }
    }

    /// A CPU has loaded or stored at an offset in RAM. An access across lines counts for its first.
    #[inline]
    pub fn access(&self, cpu: usize, mode: Mode, offset: u64, write: bool) {
        let Some(own) = self.cpus.get(cpu).filter(|_| offset < self.options.memory) else {
            return;
        };
        let mode = own.mode(mode);
        own.tally.add(mode, Count::Accesses, 1);
        let line = (offset >> self.line_shift) as u32;
        match own.data.look_up(line) {
            Some(State::Modified) => {}
            Some(_) if !write => {}
            _ => self.miss(cpu, mode, Half::Data, line, write),
        }
    }

    /// A CPU has executed a marker.
    pub fn mark(&self, cpu: usize, marker: Marker) {
        match marker {
            Marker::Idle | Marker::Busy => {
                if let Some(own) = self.cpus.get(cpu) {
                    own.idle.store(marker == Marker::Idle, Relaxed);
                }
            }
            Marker::Moving | Marker::Moved => {
                if let Some(own) = self.cpus.get(cpu) {
                    own.moving.store(marker == Marker::Moving, Relaxed);
                }
            }
            Marker::Begin(number) => {
                let mut shared = self.shared();
                let now = self.snapshot(&shared);
                shared.windows.begin(number, now);
            }
            Marker::End(number) => {
                let mut shared = self.shared();
                let now = self.snapshot(&shared);
                let nodes = self.options.node_starts.len();
                shared
                    .windows
                    .end(number, &now, nodes, |counts| self.busy_ns(counts));
            }
            // Whoever has a file does it.
            Marker::Report => {}
        }
    }

    /// Time of a CPU with these counts: its instructions and its stalls, but for those while it
    /// had nothing to run.
    pub fn busy_ns(&self, counts: &ByMode) -> u64 {
        let idle = *counts.of(Mode::Idle);
        self.time_ns(&(counts.together() - idle))
    }

    /// Time of instructions and stalls.
    pub fn time_ns(&self, counts: &Counts) -> u64 {
        counts[Count::Instructions] * self.options.instruction_ns + counts[Count::StallNs]
    }

    pub(crate) fn snapshot(&self, shared: &Shared) -> Snapshot {
        Snapshot {
            cpus: self.cpus.iter().map(|cpu| cpu.tally.now()).collect(),
            pages: shared.pages.clone(),
        }
    }

    pub(crate) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The home node of a page.
    pub(crate) fn home(&self, page: usize) -> usize {
        usize::from(self.homes[page])
    }

    /// The first level has not what the CPU needs.
    fn miss(&self, cpu: usize, mode: Mode, half: Half, line: Line, write: bool) {
        let own = &self.cpus[cpu];
        let mut shared = self.shared();
        let held = own.second.look_up(line);
        let may_write = matches!(held, Some(State::Exclusive | State::Modified));
        let state = match held {
            Some(state) if !write || may_write => {
                let first = if half == Half::Data {
                    own.data.state(line)
                } else {
                    None
                };
                // The first write to a line that the CPU has for itself: nothing to wait for.
                if first.is_none() {
                    own.tally.add(mode, Count::FirstLevelMisses, 1);
                    own.tally.add(mode, Count::SecondLevelHits, 1);
                    own.tally.add(mode, Count::StallNs, self.options.l2_ns);
                }
                if write {
                    State::Modified
                } else {
                    state
                }
            }
            _ => {
                own.tally.add(mode, Count::FirstLevelMisses, 1);
                self.ask(&mut shared, cpu, mode, line, write, held.is_some())
            }
        };
        if let Some(gone) = own.second.fill(line, state) {
            own.instructions.remove(gone);
            own.data.remove(gone);
            shared.directory.drop_holder(gone, cpu);
        }
        let first = match half {
            Half::Instructions => &own.instructions,
            Half::Data => &own.data,
        };
        first.fill(line, state);
    }

    /// The caches have not what the CPU needs: the line's home is asked, and whoever has it loses it or has
    /// to share it. The state in which the CPU has it then.
    fn ask(
        &self,
        shared: &mut Shared,
        cpu: usize,
        mode: Mode,
        line: Line,
        write: bool,
        upgrade: bool,
    ) -> State {
        let own = &self.cpus[cpu];
        let page = ((u64::from(line) << self.line_shift) / u64::from(PAGE_BYTES)) as usize;
        let home = self.home(page);
        let found = if write {
            shared.directory.write(line, cpu)
        } else {
            shared.directory.read(line, cpu)
        };
        let dirty = found
            .owner
            .filter(|&owner| self.cpus[owner].second.state(line) == Some(State::Modified));
        for other in found.others.iter() {
            self.cpus[other].yield_line(line, write);
        }
        let server = dirty.map_or(home, |owner| self.cpus[owner].node);
        let latency = &self.options.latency_ns;
        // By way of the home node, and from there to who has the line; what all misses take is in
        // both parts.
        let detour = latency[home][server].saturating_sub(latency[home][home]);
        own.tally
            .add(mode, Count::StallNs, latency[own.node][home] + detour);
        let class = match (home == own.node, server == own.node) {
            (true, true) => Count::Local,
            (true, false) => Count::Owned,
            (false, _) => Count::Remote,
        };
        own.tally.add(mode, class, 1);
        if upgrade {
            own.tally.add(mode, Count::Upgrades, 1);
        }
        shared.pages.count(page, own.node, write);
        // What the monitor does to a page, and above all copying it, says nothing of who uses it.
        let is_guests = matches!(mode, Mode::User | Mode::GuestKernel);
        if let Some(region) = shared.region.as_ref().filter(|_| is_guests) {
            region.count(Miss {
                page: region.geometry().first_page + page as u32,
                node: own.node as u32,
                remote: home != own.node,
                write,
            });
        }
        match (write, found.others.is_empty()) {
            (true, _) => State::Modified,
            (false, true) => State::Exclusive,
            (false, false) => State::Shared,
        }
    }
}

impl Cpu {
    /// Whose an instruction is here and now.
    fn mode(&self, mode: Mode) -> Mode {
        match mode {
            Mode::Monitor if self.idle.load(Relaxed) => Mode::Idle,
            Mode::Monitor if self.moving.load(Relaxed) => Mode::Moving,
            _ => mode,
        }
    }

    /// Another CPU wants a line that this one holds.
    fn yield_line(&self, line: Line, write: bool) {
        for cache in [&self.instructions, &self.data, &self.second] {
            if write {
                cache.remove(line);
            } else {
                cache.set_state(line, State::Shared);
            }
        }
    }
}
