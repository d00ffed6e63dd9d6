//! Feeds the model of the FLASH memory system with what QEMU's CPUs do.
//!
//! `-plugin libdisco_flash_plugin.so,KEY=VALUE,…`; `disco_flash_model::options` has the keys. The machine's
//! RAM has to be a file or memory object that QEMU maps, since the place of code in RAM is found by where QEMU has it.
//! When QEMU ends, the report is written, and whenever a guest says so.

use disco_flash_model::block::{Block, Marker, Mode, Step, Steps};
use disco_flash_model::maps;
use disco_flash_model::model::Model;
use disco_flash_model::options::Options;
use disco_magic::Region;
use disco_qemu_plugin::{self as qemu, Access, Info, PluginId, Tb, Translated};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ops::Range;
use std::path::PathBuf;
use std::slice;
use std::sync::atomic::AtomicU32;
use std::sync::OnceLock;

/// What there is once in the process.
struct Plugin {
    model: Model,
    ram_name: String,
    memory: u64,
    region: Option<u64>,
    report: PathBuf,
    /// Where QEMU has the machine's RAM; `None` if it could not be found.
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
    qemu::outcome(
        "flash model",
        install(id, cpus, arguments.iter().map(String::as_str)),
    )
}

fn install<'a>(
    id: PluginId,
    cpus: Option<usize>,
    arguments: impl Iterator<Item = &'a str>,
) -> Result<(), String> {
    let options = Options::parse(arguments).map_err(|error| error.to_string())?;
    let cpus = cpus.ok_or("it models whole machines: use qemu-system-mips64")?;
    if cpus != options.cpu_nodes.len() {
        let told = options.cpu_nodes.len();
        return Err(format!(
            "the machine has {cpus} CPUs, and the model is told of {told}: give both the same"
        ));
    }
    let plugin = Plugin {
        ram_name: options.ram.clone(),
        memory: options.memory,
        region: options.region,
        report: options.report.clone(),
        ram: OnceLock::new(),
        model: Model::new(options),
    };
    PLUGIN.set(plugin).map_err(|_| "it is loaded twice")?;
    qemu::register(id, translated, ended);
    Ok(())
}

impl Plugin {
    /// Where QEMU has the machine's RAM. It is there when the first block of code is translated,
    /// which is before any access; the region for the monitor is laid out then.
    fn ram(&self) -> Option<&Range<u64>> {
        let find = || {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
            let found = maps::find(&maps, &self.ram_name, self.memory);
            match &found {
                Some(ram) => self.lay_out_region(ram),
                None => eprintln!(
                    "flash model: QEMU has no RAM of {} bytes called `{}`: the model counts no fetches and no region. \
                     Give QEMU -object memory-backend-memfd,id=ram,size=… and -machine memory-backend=ram, \
                     and the plugin ram=memfd:memory-backend-memfd",
                    self.memory, self.ram_name
                ),
            }
            found
        };
        self.ram.get_or_init(find).as_ref()
    }

    fn lay_out_region(&self, ram: &Range<u64>) {
        let Some(offset) = self.region else {
            return;
        };
        let geometry = self.model.geometry();
        if self.memory.saturating_sub(offset) < geometry.bytes() {
            eprintln!(
                "flash model: the region at {offset:#x} needs {:#x} bytes, and does not fit",
                geometry.bytes()
            );
            return;
        }
        let start = (ram.start + offset) as *const AtomicU32;
        // SAFETY: QEMU has mapped the machine's RAM there to read and write for as long as it simulates, and the
        // region lies within, at a page's start. Whoever else writes to it, the machine's CPUs, does so by whole words.
        let words: &'static [AtomicU32] = unsafe { slice::from_raw_parts(start, geometry.words()) };
        if let Some(region) = Region::create(words, geometry) {
            self.model.count_in(region);
        }
    }

    fn write_report(&self) {
        if let Err(error) = std::fs::write(&self.report, self.model.report()) {
            eprintln!(
                "flash model: cannot write {}: {error}",
                self.report.display()
            );
        }
    }
}

extern "C" fn translated(_: PluginId, tb: *mut Tb) {
    // SAFETY: QEMU has passed it to this call back.
    let (Some(plugin), Some(mut block)) = (PLUGIN.get(), unsafe { Translated::new(tb) }) else {
        return;
    };
    let mut instructions = block.instructions();
    let Some(first) = instructions.first() else {
        return;
    };
    let mode = Mode::of_address(first.address());
    let ram = plugin.ram();
    let offset = |host: u64| {
        ram.filter(|ram| ram.contains(&host))
            .map(|ram| (host - ram.start) as u32)
    };
    let words: Vec<u32> = instructions.iter().map(qemu::Instruction::word).collect();
    let steps = Steps::of(&words);
    let whole = Block {
        offset: first.host_address().and_then(offset),
        mode,
        first: steps.first,
        all: instructions.len() as u16,
    };
    block.on_entry(entered, whole.pack());
    for ((instruction, word), following) in instructions.iter_mut().zip(words).zip(steps.following)
    {
        let marker = Marker::of_instruction(word);
        let step = Step {
            mode,
            following,
            marker,
        }
        .pack();
        match marker {
            Some(_) => instruction.on_execution(marked, step),
            None => instruction.on_access(accessed, step),
        }
    }
}

extern "C" fn entered(cpu: c_uint, word: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.model.enter(cpu as usize, Block::unpack(word as u64));
    }
}

extern "C" fn accessed(cpu: c_uint, info: u32, address: u64, word: *mut c_void) {
    let Some(plugin) = PLUGIN.get() else {
        return;
    };
    let step = Step::unpack(word as u64);
    plugin.model.step(cpu as usize, step);
    // SAFETY: QEMU has passed both to this call back.
    let access = unsafe { Access::new(info, address) };
    if let Some(offset) = access.physical.and_then(maps::offset_of) {
        plugin
            .model
            .access(cpu as usize, step.mode, offset, access.store);
    }
}

extern "C" fn marked(cpu: c_uint, word: *mut c_void) {
    let step = Step::unpack(word as u64);
    if let (Some(plugin), Some(marker)) = (PLUGIN.get(), step.marker) {
        plugin.model.mark(cpu as usize, marker);
        plugin.model.step(cpu as usize, step);
        if marker == Marker::Report {
            plugin.write_report();
        }
    }
}

extern "C" fn ended(_: PluginId, _: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.write_report();
    }
}
