//! The part of QEMU's plugin interface that is used: what versions 1 (QEMU 7.2) to 4 (10.0) have in common.
//!
//! QEMU's process has the functions; they are found when it loads the plugin. One plugin serves all
//! these versions: [`qemu_plugin_version`] is set when it is loaded, before QEMU looks at it, to one that the process
//! supports, and the only function that changed its form, `qemu_plugin_insn_data`, is called as the
//! version that QEMU states has it.

use std::ffi::{c_char, c_int, c_uint, c_void, CStr};
use std::slice;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// Number of a loaded plugin.
pub type PluginId = u64;

/// A block of code being translated.
#[repr(C)]
pub struct Tb {
    _private: [u8; 0],
}

/// An instruction of such a block.
#[repr(C)]
pub struct Insn {
    _private: [u8; 0],
}

/// An address of the machine, during a call back for an access.
#[repr(C)]
struct Hwaddr {
    _private: [u8; 0],
}

/// What QEMU says of itself, as far as it is used.
#[repr(C)]
pub struct Info {
    target_name: *const c_char,
    version_min: c_int,
    version_cur: c_int,
    system_emulation: bool,
    smp_vcpus: c_int,
    max_vcpus: c_int,
}

/// A call back with a word of ours.
pub type VcpuUdataCb = extern "C" fn(vcpu: c_uint, userdata: *mut c_void);
/// A call back for an access.
pub type VcpuMemCb = extern "C" fn(vcpu: c_uint, info: u32, vaddr: u64, userdata: *mut c_void);

/// No call back reads registers: QEMU's `QEMU_PLUGIN_CB_NO_REGS`.
const NO_REGS: c_int = 0;
/// Loads and stores: QEMU's `QEMU_PLUGIN_MEM_RW`.
const MEM_RW: c_int = 3;
/// The first version whose `qemu_plugin_insn_data` copies.
const COPIES_FROM: c_int = 3;

extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: PluginId, cb: extern "C" fn(PluginId, *mut Tb));
    fn qemu_plugin_register_atexit_cb(
        id: PluginId,
        cb: extern "C" fn(PluginId, *mut c_void),
        userdata: *mut c_void,
    );
    fn qemu_plugin_register_vcpu_tb_exec_cb(
        tb: *mut Tb,
        cb: VcpuUdataCb,
        flags: c_int,
        userdata: *mut c_void,
    );
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        insn: *mut Insn,
        cb: VcpuUdataCb,
        flags: c_int,
        userdata: *mut c_void,
    );
    fn qemu_plugin_register_vcpu_mem_cb(
        insn: *mut Insn,
        cb: VcpuMemCb,
        flags: c_int,
        rw: c_int,
        userdata: *mut c_void,
    );
    fn qemu_plugin_tb_n_insns(tb: *const Tb) -> usize;
    fn qemu_plugin_tb_get_insn(tb: *const Tb, index: usize) -> *mut Insn;
    fn qemu_plugin_insn_data();
    fn qemu_plugin_insn_vaddr(insn: *const Insn) -> u64;
    fn qemu_plugin_insn_haddr(insn: *const Insn) -> *mut c_void;
    fn qemu_plugin_mem_is_store(info: u32) -> bool;
    fn qemu_plugin_get_hwaddr(info: u32, vaddr: u64) -> *mut Hwaddr;
    fn qemu_plugin_hwaddr_is_io(address: *const Hwaddr) -> bool;
    fn qemu_plugin_hwaddr_phys_addr(address: *const Hwaddr) -> u64;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// The version of the interface that this plugin wants; QEMU refuses one that it does not support.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static qemu_plugin_version: AtomicI32 = AtomicI32::new(1);

/// Runs when the plugin is loaded.
#[used]
#[link_section = ".init_array"]
static CHOOSE_VERSION: extern "C" fn() = choose_version;

extern "C" fn choose_version() {
    // QEMU 9.0 brought version 2 with this function in place of another, and supports none before it.
    const SINCE_2: &CStr = c"qemu_plugin_num_vcpus";
    // SAFETY: with a null handle all of the process is searched; the name ends with 0.
    let found = unsafe { dlsym(std::ptr::null_mut(), SINCE_2.as_ptr()) };
    if !found.is_null() {
        qemu_plugin_version.store(2, Relaxed);
    }
}

/// The version that QEMU itself has; 1 before it was said.
static CURRENT: AtomicI32 = AtomicI32::new(1);

/// What QEMU tells when it loads a plugin: the number of CPUs, as [`Info::note`] has it, and the options.
///
/// # Safety
/// They are what QEMU passes to `qemu_plugin_install`.
pub unsafe fn told(
    info: *const Info,
    argc: c_int,
    argv: *const *const c_char,
) -> (Option<usize>, Vec<String>) {
    // SAFETY: QEMU passes a valid structure, or null.
    let cpus = unsafe { info.as_ref() }.and_then(Info::note);
    let arguments: &[*const c_char] = match usize::try_from(argc) {
        // SAFETY: QEMU passes so many pointers.
        Ok(count) if count > 0 && !argv.is_null() => unsafe { slice::from_raw_parts(argv, count) },
        _ => &[],
    };
    let text = |&text: &*const c_char| {
        // SAFETY: each points to a string that ends with 0 and stays while the plugin is loaded.
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned()
    };
    (cpus, arguments.iter().map(text).collect())
}

/// What `qemu_plugin_install` returns; why `plugin` could not be loaded is told.
pub fn outcome(plugin: &str, installed: Result<(), String>) -> c_int {
    match installed {
        Ok(()) => 0,
        Err(message) => {
            eprintln!("{plugin}: {message}");
            1
        }
    }
}

impl Info {
    /// Notes the version, and gives the number of CPUs; `None` if no whole machine is simulated.
    pub fn note(&self) -> Option<usize> {
        CURRENT.store(self.version_cur, Relaxed);
        self.system_emulation
            .then_some(usize::try_from(self.smp_vcpus).ok()?)
    }
}

/// Has `translated` called for each block of code, and `ended` at the end of the process.
pub fn register(
    id: PluginId,
    translated: extern "C" fn(PluginId, *mut Tb),
    ended: extern "C" fn(PluginId, *mut c_void),
) {
    // SAFETY: QEMU gave the id, while it installs the plugin; the functions live as long as the process, since the
    // plugin is never unloaded.
    unsafe {
        qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
        qemu_plugin_register_atexit_cb(id, ended, std::ptr::null_mut());
    }
}

/// A block of code during the call back for its translation.
pub struct Translated<'a>(&'a mut Tb);

impl<'a> Translated<'a> {
    /// # Safety
    /// `tb` is what QEMU has passed to the call back that is running, and is not used otherwise.
    pub unsafe fn new(tb: *mut Tb) -> Option<Self> {
        // SAFETY: it is valid until the call back ends, says the caller, and has no fields of its own.
        unsafe { tb.as_mut() }.map(Self)
    }

    /// Its instructions.
    pub fn instructions(&self) -> Vec<Instruction<'a>> {
        let tb: *const Tb = self.0;
        // SAFETY: the block is valid, as `new` was promised.
        let count = unsafe { qemu_plugin_tb_n_insns(tb) };
        let instruction = |index| {
            // SAFETY: the same; the index is one of the block's.
            let insn = unsafe { qemu_plugin_tb_get_insn(tb, index) };
            // SAFETY: an instruction lives as long as its block, which is `'a`.
            unsafe { insn.as_mut() }.map(Instruction)
        };
        (0..count).map_while(instruction).collect()
    }

    /// Has `cb` called with `word` whenever the block is entered.
    pub fn on_entry(&mut self, cb: VcpuUdataCb, word: u64) {
        // SAFETY: the block is being translated; the word is passed on and never used as a pointer.
        unsafe { qemu_plugin_register_vcpu_tb_exec_cb(self.0, cb, NO_REGS, word as *mut c_void) };
    }
}

/// An instruction of a block being translated.
pub struct Instruction<'a>(&'a mut Insn);

impl Instruction<'_> {
    /// Its virtual address.
    pub fn address(&self) -> u64 {
        // SAFETY: the instruction is valid as long as its block is being translated.
        unsafe { qemu_plugin_insn_vaddr(self.0) }
    }

    /// Where QEMU has it in its own memory; `None` if the code is in no memory.
    pub fn host_address(&self) -> Option<u64> {
        // SAFETY: as above. What comes back is only compared.
        let address = unsafe { qemu_plugin_insn_haddr(self.0) } as u64;
        // QEMU 7.2 says -1 for code in a device.
        (address != 0 && address != u64::MAX).then_some(address)
    }

    /// The instruction itself.
    pub fn word(&self) -> u32 {
        type Points = unsafe extern "C" fn(*const Insn) -> *const [u8; 4];
        type Copies = unsafe extern "C" fn(*const Insn, *mut [u8; 4], usize) -> usize;
        let function = qemu_plugin_insn_data as *const ();
        let mut bytes = [0; 4];
        if CURRENT.load(Relaxed) >= COPIES_FROM {
            // SAFETY: from this version on the function has this form, and writes so many bytes at most.
            unsafe {
                let copy: Copies = std::mem::transmute(function);
                copy(self.0, &mut bytes, bytes.len());
            }
        } else {
            // SAFETY: before, it has that form, and points to the instruction, which has four bytes on this CPU.
            unsafe {
                let point: Points = std::mem::transmute(function);
                if let Some(data) = point(self.0).as_ref() {
                    bytes = *data;
                }
            }
        }
        // As in the machine's memory, which is big-endian.
        u32::from_be_bytes(bytes)
    }

    /// Has `cb` called with `word` for each of its accesses, after it was done.
    pub fn on_access(&mut self, cb: VcpuMemCb, word: u64) {
        // SAFETY: as for `Translated::on_entry`.
        unsafe {
            qemu_plugin_register_vcpu_mem_cb(self.0, cb, NO_REGS, MEM_RW, word as *mut c_void)
        };
    }

    /// Has `cb` called with `word` when it is executed.
    pub fn on_execution(&mut self, cb: VcpuUdataCb, word: u64) {
        // SAFETY: as for `Translated::on_entry`.
        unsafe { qemu_plugin_register_vcpu_insn_exec_cb(self.0, cb, NO_REGS, word as *mut c_void) };
    }
}

/// An access, during the call back for it.
pub struct Access {
    /// Its physical address; `None` for a device's registers.
    pub physical: Option<u64>,
    /// Whether it stored.
    pub store: bool,
}

impl Access {
    /// # Safety
    /// `info` and `address` are what QEMU has passed to the call back that is running.
    #[inline]
    pub unsafe fn new(info: u32, address: u64) -> Self {
        // SAFETY: as the caller says; the machine's address is used before the call back ends, and is checked for null.
        unsafe {
            let place = qemu_plugin_get_hwaddr(info, address);
            let is_memory = !place.is_null() && !qemu_plugin_hwaddr_is_io(place);
            Self {
                physical: is_memory.then(|| qemu_plugin_hwaddr_phys_addr(place)),
                store: qemu_plugin_mem_is_store(info),
            }
        }
    }
}
