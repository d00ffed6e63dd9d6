//! What is written when the machine ends. `docs/numa.md` explains every field.

use crate::block::Mode;
use crate::counts::ByMode;
use crate::model::Model;
use crate::options::{Options, PAGE_BYTES, RAM_BASE};
use crate::pages::{HotPage, Pages};
use crate::window::Window;
use serde::Serialize;

/// Version of the report's form.
const VERSION: u32 = 1;

/// The whole report.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    machine: &'a Options,
    /// Of the whole run, so far.
    run: Section,
    /// Windows that were ended, in order of their numbers.
    windows: Vec<Section>,
    /// Numbers of windows that are still open, and not reported.
    open_windows: Vec<u8>,
}

/// The run, or a window.
#[derive(Serialize)]
struct Section {
    /// The window's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<u8>,
    /// How often it was begun and ended.
    times: u64,
    /// Simulated time: the busiest CPU's.
    elapsed_ns: u64,
    /// The share of all misses that are local.
    local_share: f64,
    /// The same for each mode.
    local_share_by_mode: Shares,
    /// All CPUs together.
    modes: ByMode,
    cpus: Vec<CpuSection>,
    /// Pages that any CPU missed on.
    pages_missed_on: usize,
    /// The pages with the most misses.
    hottest: Vec<HotPage>,
    /// For each node, the pages with the most misses of its CPUs.
    hottest_by_node: Vec<Vec<HotPage>>,
}

#[derive(Serialize)]
struct Shares {
    user: f64,
    guest_kernel: f64,
    monitor: f64,
}

#[derive(Serialize)]
struct CpuSection {
    cpu: usize,
    node: usize,
    /// Instructions and stalls, but for those of mode `idle`.
    busy_ns: u64,
    /// What is left of the time that elapsed.
    idle_ns: u64,
    modes: ByMode,
}

impl Model {
    /// The report so far, as JSON.
    pub fn report(&self) -> String {
        let shared = self.shared();
        let now = self.snapshot(&shared);
        let run = Window {
            times: 1,
            elapsed_ns: now
                .cpus
                .iter()
                .map(|cpu| self.busy_ns(cpu))
                .max()
                .unwrap_or(0),
            cpus: now.cpus,
            pages: now.pages,
        };
        let report = Report {
            version: VERSION,
            machine: &self.options,
            run: self.section(None, &run),
            windows: shared
                .windows
                .ended()
                .map(|(number, window)| self.section(Some(number), window))
                .collect(),
            open_windows: shared.windows.open(),
        };
        let mut text =
            serde_json::to_string_pretty(&report).unwrap_or_else(|error| error.to_string());
        text.push('\n');
        text
    }

    fn section(&self, number: Option<u8>, window: &Window) -> Section {
        let mut modes = ByMode::default();
        for cpu in &window.cpus {
            modes += *cpu;
        }
        let cpus = window.cpus.iter().zip(&self.options.cpu_nodes).enumerate();
        let cpus = cpus.map(|(cpu, (modes, &node))| {
            let busy_ns = self.busy_ns(modes);
            CpuSection {
                cpu,
                node,
                busy_ns,
                idle_ns: window.elapsed_ns.saturating_sub(busy_ns),
                modes: *modes,
            }
        });
        let share = |mode| modes.of(mode).local_share();
        Section {
            window: number,
            times: window.times,
            elapsed_ns: window.elapsed_ns,
            local_share: modes.together().local_share(),
            local_share_by_mode: Shares {
                user: share(Mode::User),
                guest_kernel: share(Mode::GuestKernel),
                monitor: share(Mode::Monitor),
            },
            modes,
            cpus: cpus.collect(),
            pages_missed_on: window.pages.touched(),
            hottest: self.hottest(&window.pages, None),
            hottest_by_node: (0..self.options.node_starts.len())
                .map(|node| self.hottest(&window.pages, Some(node)))
                .collect(),
        }
    }

    fn hottest(&self, pages: &Pages, node: Option<usize>) -> Vec<HotPage> {
        let hottest = pages.hottest(node, self.options.hot_pages).into_iter();
        let shown = |page: usize| {
            let address = RAM_BASE + page as u64 * u64::from(PAGE_BYTES);
            pages.shown(page, address, self.home(page))
        };
        hottest.map(shown).collect()
    }
}
