//! What the commands of the prompt do. They run on CPU 0.

use super::check::AuditResult;
use super::cpu::Cpu;
use super::resident::{Resident, ResidentVm};
use super::slot::{Ending, Message, VmSlot, VmState};
use super::Monitor;
use crate::clock::nanoseconds;
use crate::console::command::{Command, Format};
use crate::console::report::{CheckRow, CpuRow, Harmless, MemRow, Row, StatRow, VcpuRow, VmRow};
use crate::events::Event;
use crate::machine::{Node, Usage};
use crate::schedule::VcpuId;
use core::fmt::{self, Write};
use core::sync::atomic::Ordering;
use disco_abi::PAGE_SIZE;
use disco_arch::board::power;
use disco_arch::board::uart::Uart;

impl Cpu {
    /// Executes a command and answers it.
    pub(super) fn execute(&mut self, command: Command<usize>) {
        let monitor = self.monitor;
        let slot = |vm: usize| monitor.slots.get(vm);
        match command {
            Command::VmList(format) => self.vm_list(monitor.slots, format),
            Command::VmInfo(vm, format) => {
                if let Some(slot) = slot(vm) {
                    self.vm_list(core::slice::from_ref(slot), format);
                    self.vcpu_rows(slot, format);
                }
            }
            // The multiplexer's own affair: it has done these itself.
            Command::Help(_) | Command::VmConsole(_) => {}
            Command::VmStop(vm) => {
                let ending = Ending {
                    reason: "stopped",
                    message: Message::EMPTY,
                    restart: false,
                };
                if let Some(slot) = slot(vm).filter(|slot| !monitor.stop(slot, ending)) {
                    self.answer(&mut |out| writeln!(out, "{} does not run", slot.name));
                }
            }
            Command::VmStart(vm) => {
                if let Some(slot) = slot(vm) {
                    self.vm_start(slot);
                }
            }
            Command::VmPage(vm, address, format) => {
                if let Some(slot) = slot(vm) {
                    self.vm_page(slot, address, format);
                }
            }
            Command::Numa(format) => self.numa(format),
            Command::NumaTop(most, format) => self.numa_top(most, format),
            Command::NumaShake(seconds) => self.numa_shake(seconds),
            Command::NumaMove(vm, address, node) => {
                if let Some(slot) = slot(vm) {
                    self.numa_move(slot, address, node);
                }
            }
            Command::MemPage(address, format) => self.mem_page(address, format),
            Command::Cpus(format) => self.cpus(format),
            Command::Mem(format) => self.mem(format),
            Command::Disk(format) => self.disk(format),
            Command::Net(format) => self.net(format),
            Command::Devices(format) => self.devices(format),
            Command::Stats(format) => self.stats(format),
            Command::Check(format) => self.check(format),
            Command::PowerOff => self.power_off(),
        }
        monitor.console.lock().command_done();
    }

    pub(super) fn rows<R: Row>(&mut self, format: Format, rows: impl Iterator<Item = R>) {
        self.answer(&mut |out| R::write_head(out, format));
        for row in rows {
            self.answer(&mut |out| row.write_row(out, format));
        }
    }

    fn vm_list(&mut self, slots: &'static [VmSlot], format: Format) {
        let monitor = self.monitor;
        self.answer(&mut |out| VmRow::write_head(out, format));
        for slot in slots {
            let state = *slot.state.lock();
            let (word, reason) = match state {
                VmState::Off => ("off", Message::EMPTY),
                VmState::Loading { .. } => ("loading", Message::EMPTY),
                VmState::Running(_) if monitor.is_paused(slot) => ("paused", Message::EMPTY),
                VmState::Running(_) => ("running", Message::EMPTY),
                VmState::Stopped { reason, message } => ("stopped", described(reason, &message)),
            };
            let row = VmRow {
                name: slot.name,
                state: word,
                vcpus: slot.vcpu_count().into(),
                memory: slot.described.memory.get(),
                backed: monitor
                    .with_resident(slot, |vm| vm.pmap.iter().count())
                    .unwrap_or(0) as u64
                    * PAGE_SIZE,
                cpu_ns: nanoseconds(slot.vcpus().map(|vcpu| monitor.scheduler.ran(vcpu)).sum()),
                starts: slot.starts.load(Ordering::Relaxed),
                reason: reason.bytes(),
            };
            self.answer(&mut |out| row.write_row(out, format));
        }
    }

    fn vcpu_rows(&mut self, slot: &'static VmSlot, format: Format) {
        let monitor = self.monitor;
        let rows = slot.vcpus().enumerate().map(|(number, vcpu)| {
            let home = monitor.scheduler.home(vcpu);
            let running = home
                .and_then(|cpu| *monitor.cpus.get(usize::from(cpu.0))?)
                .is_some_and(|cpu| cpu.running.load(Ordering::Relaxed) == u32::from(vcpu.0));
            VcpuRow {
                vm: slot.name,
                vcpu: number as u64,
                state: match home {
                    None => "off",
                    Some(_) if running => "running",
                    Some(_) => "waiting",
                },
                cpu: home.map(|cpu| cpu.0.into()),
                cpu_ns: nanoseconds(monitor.scheduler.ran(vcpu)),
                pc: monitor
                    .with_vcpu(slot, number as u16, |resident| resident.vcpu.context.pc)
                    .unwrap_or(0),
            }
        });
        self.rows(format, rows);
    }

    fn vm_start(&mut self, slot: &'static VmSlot) {
        if slot.state.lock().is_on() {
            self.answer(&mut |out| writeln!(out, "{} runs already", slot.name));
            return;
        }
        let now = self.now();
        if let Err(error) = self.monitor.start(slot, now) {
            self.answer(&mut |out| writeln!(out, "{} cannot be started: {error}", slot.name));
        }
    }

    fn cpus(&mut self, format: Format) {
        let monitor = self.monitor;
        let now = self.now();
        let count = monitor.layout.cpus().len();
        let known = monitor.cpus[..count].iter().enumerate();
        let rows = known.filter_map(|(number, cpu)| {
            let cpu = (*cpu)?;
            let idle = cpu.idle.load(Ordering::Relaxed)
                + match cpu.idle_since.load(Ordering::Relaxed) {
                    0 => 0,
                    since => now.saturating_sub(since),
                };
            let running = cpu.running.load(Ordering::Relaxed);
            let vcpu = u16::try_from(running).ok().map(VcpuId);
            Some(CpuRow {
                cpu: number as u64,
                node: cpu.node.0.into(),
                code: cpu.code.load(Ordering::Relaxed),
                running: vcpu
                    .and_then(|vcpu| monitor.slot_of(vcpu))
                    .map(|(slot, number)| (slot.name, number.into())),
                idle_ns: nanoseconds(idle),
                idle_share: idle.saturating_mul(1000) / now.max(1),
                switches: cpu.switches.load(Ordering::Relaxed),
            })
        });
        self.rows(format, rows);
    }

    fn mem(&mut self, format: Format) {
        let monitor = self.monitor;
        let mut all = MemRow::default();
        self.answer(&mut |out| MemRow::write_head(out, format));
        for node in monitor.machine.nodes() {
            let row = monitor.mem_row(node);
            all.add(&row);
            self.answer(&mut |out| row.write_row(out, format));
        }
        self.answer(&mut |out| all.write_row(out, format));
        self.mem_by_use(format);
    }

    fn stats(&mut self, format: Format) {
        let monitor = self.monitor;
        let cpus = monitor.cpus[..monitor.layout.cpus().len()]
            .iter()
            .enumerate();
        self.answer(&mut |out| StatRow::write_head(out, format));
        for (number, cpu) in cpus {
            let Some(cpu) = cpu else { continue };
            let names = [
                "board interrupts",
                "calls by other CPUs",
                "timer interrupts",
            ];
            let counters = names.into_iter().zip(&cpu.interrupts);
            let switches = ("switches", &cpu.switches);
            for (counter, value) in counters.chain([switches]) {
                let value = value.load(Ordering::Relaxed);
                let row = StatRow {
                    cpu: Some(number as u64),
                    vm: None,
                    counter,
                    value,
                };
                self.answer(&mut |out| row.write_row(out, format));
            }
        }
        for slot in monitor.slots {
            let mut sums = None;
            for number in 0..slot.vcpu_count() {
                monitor.with_vcpu(slot, number, |resident| {
                    let sums = sums.get_or_insert([0; COUNTERS.len()]);
                    sums.iter_mut()
                        .zip(counters(resident))
                        .for_each(|(sum, more)| *sum += more);
                });
            }
            for (value, counter) in sums.into_iter().flatten().zip(COUNTERS) {
                let row = StatRow {
                    cpu: None,
                    vm: Some(slot.name),
                    counter,
                    value,
                };
                self.answer(&mut |out| row.write_row(out, format));
            }
        }
    }

    fn check(&mut self, format: Format) {
        let mut memory = AuditResult::EMPTY;
        memory.add(&self.monitor.machine.audit());
        let cpus = self.check_cpus();
        let results = [
            ("memmap, bitmaps and counts of free pages agree", memory),
            (
                "run queues, pmaps, backmaps, second-level and real TLBs agree",
                cpus,
            ),
            (
                "shared pages have as many users as they count",
                self.monitor.check_users(),
            ),
        ];
        let rows = results.into_iter().map(|(invariant, result)| CheckRow {
            invariant,
            checked: result.checks,
            failed: result.failed,
        });
        self.rows(format, rows);
        for (_, result) in results {
            if result.failed > 0 && format == Format::Text {
                let first = Harmless(result.first.bytes());
                self.answer(&mut |out| writeln!(out, "first failure: {first}"));
            }
        }
    }

    fn power_off(&mut self) -> ! {
        let now = self.now();
        self.monitor.event(Event::PowerOff, now, None);
        self.answer(&mut |out| out.write_str("power off\n"));
        let mut console = self.monitor.console.lock();
        let uart = Uart::com1();
        let mut byte = [0];
        while console.uart_take(&mut byte) != 0 {
            uart.send(byte[0]);
        }
        uart.drain();
        Uart::com2().drain();
        power::off()
    }
}

impl Monitor {
    /// Lets `read` look at a running virtual machine; `None` if it does not run. Its counters
    /// change meanwhile.
    pub(super) fn with_resident<T>(
        &self,
        slot: &VmSlot,
        read: impl FnOnce(&ResidentVm) -> T,
    ) -> Option<T> {
        let _state = slot.state.lock();
        // SAFETY: null, or under `state` it stays where it is.
        unsafe { slot.resident().as_ref() }.map(read)
    }

    /// Lets `read` look at a virtual CPU of a running virtual machine.
    fn with_vcpu<T>(
        &self,
        slot: &VmSlot,
        number: u16,
        read: impl FnOnce(&Resident) -> T,
    ) -> Option<T> {
        self.with_resident(slot, |vm| {
            // SAFETY: it stays where its virtual machine does. Its CPU writes counters and
            // registers while they are read here: words that are each read once, and shown to a
            // person.
            vm.vcpu(number).map(|resident| read(unsafe { &*resident }))
        })?
    }

    fn is_paused(&self, slot: &VmSlot) -> bool {
        let paused = |vm: &ResidentVm| vm.paused.load(Ordering::Relaxed) != 0;
        self.with_resident(slot, paused).unwrap_or(false)
    }

    fn mem_row(&self, node: &'static Node) -> MemRow {
        let Usage {
            free,
            in_transit,
            monitor,
            payload,
            service,
            guest,
            replica,
            shared: with_users,
            damaged,
        } = node.usage();
        let bytes = |pages: u64| pages * PAGE_SIZE;
        let number = usize::from(node.id().0);
        let stacks: u64 = self
            .layout
            .cpus()
            .iter()
            .filter(|cpu| cpu.node == number)
            .map(|cpu| cpu.stack.len() + cpu.block.len())
            .sum();
        let shared = if number == 0 {
            self.layout.shared.len() + self.layout.heap.len()
        } else {
            0
        };
        let data = stacks + shared;
        let tables = bytes(monitor + in_transit + damaged).saturating_sub(data + self.code_len);
        MemRow {
            node: Some(number as u64),
            total: bytes(node.range().count),
            free: bytes(free),
            guests: bytes(guest + replica),
            shared: bytes(with_users),
            code: self.code_len,
            data,
            tables: tables + bytes(service),
            payload: bytes(payload),
        }
    }
}

fn described(reason: &str, message: &Message) -> Message {
    let mut text = Message::EMPTY;
    let _ = write!(text, "{reason}");
    if !message.bytes().is_empty() {
        let _ = write!(text, ": {}", Harmless(message.bytes()));
    }
    text
}

/// The names of a virtual CPU's counters.
static COUNTERS: [&str; 20] = [
    "second-level TLB hits",
    "linear window hits",
    "system calls reflected",
    "eret in the vectors",
    "traps into the monitor",
    "virtual TLB hits",
    "page-table walks",
    "linear window pages",
    "refills reflected",
    "exceptions reflected",
    "moves of CP0 registers",
    "TLB instructions",
    "eret in the monitor",
    "wait",
    "other privileged instructions",
    "monitor calls",
    "interrupts delivered",
    "FPU loads",
    "ns waited for remote memory",
    "ns of that forgiven",
];

/// A virtual CPU's counters, as [`COUNTERS`] names them.
fn counters(resident: &Resident) -> [u64; COUNTERS.len()] {
    let fast = resident.vcpu.context.counters;
    let slow = resident.vcpu.counters;
    [
        fast.l2_hits,
        fast.linear_hits,
        fast.system_calls,
        fast.erets,
        slow.traps,
        slow.vtlb_hits,
        slow.walks,
        slow.linear_pages,
        slow.refills_reflected,
        slow.exceptions_reflected,
        slow.moves,
        slow.tlb_instructions,
        slow.erets,
        slow.waits,
        slow.others,
        slow.calls,
        slow.interrupts,
        slow.fpu_loads,
        resident.debt.paid_ns(),
        resident.debt.forgiven_ns(),
    ]
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cpu")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
