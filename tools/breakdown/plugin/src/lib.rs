//! Counts what a CPU of QEMU's executes, by mode and by what it is for.
//!
//! `-plugin libdisco_breakdown_plugin.so,report=FILE[,points=FILE,ram=NAME,memory=BYTES]`. The file of points has
//! lines "ADDRESS NUMBER", both hexadecimal; `ram` and `memory` say by what name QEMU's process has the machine's
//! RAM mapped, so that the numbers of monitor calls can be read there. One CPU only: it is about what code does.
//! The report is written whenever a window ends, and at the end.

use disco_breakdown::block::{Block, Steps};
use disco_breakdown::count::Cpu;
use disco_breakdown::report::Report;
use disco_flash_model::block::{Marker, Mode};
use disco_flash_model::maps;
use disco_magic::point;
use disco_qemu_plugin::{self as qemu, Access, Info, PluginId, Tb, Translated};
use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::OnceLock;

/// Where the guest's `$v0` is stored.
const SAVE: u64 = 1 << point::SAVE;
/// Where exceptions go.
const VECTORS: u64 = 1 << point::REFILL | 1 << point::GENERAL | 1 << point::INTERRUPT;

/// What there is once in the process.
struct Plugin {
    cpu: Cpu,
    report: PathBuf,
    /// The points at an address, a bit each.
    points: HashMap<u64, u64>,
    ram_name: String,
    memory: u64,
    /// Where QEMU has the machine's RAM; `None` if it was not told, or could not be found.
    ram: OnceLock<Option<Range<u64>>>,
}

static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// QEMU calls it once, before there is a machine.
///
/// # Safety
/// QEMU passes what its plugin interface says.
#[no_mangle]
pub unsafe extern "C" fn qemu_plugin_install(
    id: PluginId,
    info: *const Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: what QEMU passes.
    let (cpus, arguments) = unsafe { qemu::told(info, argc, argv) };
    qemu::outcome("breakdown", install(id, cpus, &arguments))
}

fn install(id: PluginId, cpus: Option<usize>, arguments: &[String]) -> Result<(), String> {
    if cpus != Some(1) {
        return Err("it follows one CPU: use a machine with one".to_owned());
    }
    let mut options = HashMap::new();
    for argument in arguments {
        let (key, value) = argument.split_once('=').unwrap_or_default();
        if !["report", "points", "ram", "memory"].contains(&key) {
            return Err(format!(
                "{argument}: there are report=FILE, points=FILE, ram=NAME, memory=BYTES"
            ));
        }
        options.insert(key, value);
    }
    let report = options.get("report").ok_or("report=FILE is missing")?;
    let memory = options.get("memory").map_or(Ok(0), |value| value.parse());
    let points = options.get("points").map(read_points).transpose()?;
    let plugin = Plugin {
        cpu: match points {
            Some(_) => Cpu::default(),
            None => Cpu::from_the_start(),
        },
        report: PathBuf::from(report),
        points: points.unwrap_or_default(),
        ram_name: (*options.get("ram").unwrap_or(&"")).to_owned(),
        memory: memory.map_err(|_| "memory= takes bytes")?,
        ram: OnceLock::new(),
    };
    PLUGIN.set(plugin).map_err(|_| "it is loaded twice")?;
    qemu::register(id, translated, ended);
    Ok(())
}

fn read_points(path: &&str) -> Result<HashMap<u64, u64>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let point = |line: &str| {
        let (address, number) = line.split_once(' ')?;
        let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
        Some((hexadecimal(address)?, hexadecimal(number)?))
    };
    let mut points = HashMap::new();
    for line in text.lines() {
        let (address, number) = point(line)
            .ok_or_else(|| format!("{path}: `{line}` is not an address and a number"))?;
        *points.entry(address).or_default() |= 1 << (number & 63);
    }
    Ok(points)
}

impl Plugin {
    /// Where QEMU has the machine's RAM, which is there when the first block of code is translated.
    fn ram(&self) -> Option<&Range<u64>> {
        let find = || {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
            (self.memory > 0)
                .then(|| maps::find(&maps, &self.ram_name, self.memory))
                .flatten()
        };
        self.ram.get_or_init(find).as_ref()
    }

    /// The eight bytes at a physical address; `None` if they are not in the machine's RAM.
    fn load(&self, physical: u64) -> Option<u64> {
        let ram = self.ram()?;
        let offset = maps::offset_of(physical)?;
        if offset % 8 != 0 || offset >= self.memory {
            return None;
        }
        let place = (ram.start + offset) as *const AtomicU64;
        // SAFETY: QEMU has mapped the machine's RAM there for as long as it simulates, and the aligned word lies within.
        let word = unsafe { (*place).load(Relaxed) };
        Some(u64::from_be(word))
    }

    fn write_report(&self) {
        let report = Report::of(&self.cpu);
        let text = serde_json::to_string_pretty(&report).unwrap_or_else(|error| error.to_string());
        if let Err(error) = std::fs::write(&self.report, text + "\n") {
            eprintln!("breakdown: cannot write {}: {error}", self.report.display());
        }
    }
}

extern "C" fn translated(_: PluginId, tb: *mut Tb) {
    // SAFETY: QEMU has passed it to this call back.
    let (Some(plugin), Some(mut block)) = (PLUGIN.get(), unsafe { Translated::new(tb) }) else {
        return;
    };
    let mut instructions = block.instructions();
    let words: Vec<u32> = instructions.iter().map(qemu::Instruction::word).collect();
    let (Some(first), Some(&last)) = (instructions.first(), words.last()) else {
        return;
    };
    let steps = Steps::of(&words);
    let whole = Block {
        mode: Mode::of_address(first.address()),
        first: steps.first,
        last,
    };
    let points = plugin.points.get(&first.address());
    let is_vector = points.is_some_and(|points| points & VECTORS != 0);
    let on_entry = if is_vector { entered_vector } else { entered };
    block.on_entry(on_entry, whole.pack());
    for ((instruction, word), with) in instructions.iter_mut().zip(words).zip(steps.with) {
        let points = plugin.points.get(&instruction.address()).copied();
        if let Some(points) = points {
            instruction.on_execution(passed, points);
        }
        if let Some(marker) = Marker::of_instruction(word) {
            let packed = u64::from(with) << 16 | u64::from(marker.number());
            instruction.on_execution(marked, packed);
        } else if with > 0 && points.is_some_and(|points| points & SAVE != 0) {
            instruction.on_access(saved, u64::from(with));
        } else if with > 0 {
            instruction.on_access(accessed, u64::from(with));
        }
    }
}

extern "C" fn entered(_: c_uint, word: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.cpu.enter(Block::unpack(word as u64));
    }
}

extern "C" fn entered_vector(_: c_uint, word: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.cpu.enter_vector(Block::unpack(word as u64));
    }
}

extern "C" fn accessed(_: c_uint, _: u32, _: u64, instructions: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.cpu.step(instructions as u64);
    }
}

/// The instruction has stored the guest's `$v0`.
extern "C" fn saved(_: c_uint, info: u32, address: u64, instructions: *mut c_void) {
    let Some(plugin) = PLUGIN.get() else {
        return;
    };
    plugin.cpu.step(instructions as u64);
    // SAFETY: QEMU has passed both to this call back.
    let access = unsafe { Access::new(info, address) };
    let value = access.physical.and_then(|physical| plugin.load(physical));
    plugin.cpu.value(value.unwrap_or(u64::MAX));
}

extern "C" fn passed(_: c_uint, points: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.cpu.pass(points as u64);
    }
}

extern "C" fn marked(_: c_uint, packed: *mut c_void) {
    let packed = packed as u64;
    let (Some(plugin), Some(marker)) = (PLUGIN.get(), Marker::of_number(packed as u16)) else {
        return;
    };
    // The marker itself is outside of what it begins, and inside of what it ends.
    plugin.cpu.mark(marker);
    plugin.cpu.step(packed >> 16);
    if matches!(marker, Marker::End(_) | Marker::Report) {
        plugin.write_report();
    }
}

extern "C" fn ended(_: PluginId, _: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.write_report();
    }
}
