//! The answers to listing commands: a row at a time, as aligned text or as JSON lines.
//!
//! A caller writes a listing's head once and then each row. So a listing needs no memory of its
//! own, and the serial line may be served between two rows.

use core::fmt::{Display, Formatter, Result, Write};

use super::command::Format;
use super::json::Object;
use super::lines::is_harmless;
use crate::net::port::Traffic;

/// A value of a listing. JSON holds plain numbers: bytes, nanoseconds, thousandths.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// The monitor's own word or a name.
    Word(&'a str),
    /// Text that a guest may have chosen.
    Guest(&'a [u8]),
    /// A plain number.
    Count(u64),
    /// Plain numbers in a row.
    Counts(&'a [u16]),
    /// A number of bytes.
    Bytes(u64),
    /// A time in nanoseconds.
    Nanoseconds(u64),
    /// Thousandths of the whole.
    Share(u64),
    /// An address; JSON has it as a string in hexadecimal.
    Address(u64),
    /// No value.
    Nothing,
}

/// A column of a listing.
#[derive(Debug)]
pub struct Column {
    /// What stands above it.
    pub title: &'static str,
    /// Its key in JSON, which names the unit.
    pub key: &'static str,
    /// Least width of the text, in characters.
    pub width: usize,
    /// Whether text stands at the left side, as words do, and not at the right, as numbers do.
    pub left: bool,
}

/// A row of a listing.
pub trait Row {
    /// The listing's columns.
    const COLUMNS: &'static [Column];

    /// Calls `write` with a value for each column.
    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result;

    /// Writes the line above the rows; JSON has none.
    fn write_head(out: &mut dyn Write, format: Format) -> Result {
        match format {
            Format::Text => write_head(out, Self::COLUMNS),
            Format::Json => Ok(()),
        }
    }

    /// Writes the row.
    fn write_row(&self, out: &mut dyn Write, format: Format) -> Result {
        self.values(&mut |values| write_values(out, format, Self::COLUMNS, values))
    }
}

pub(super) const fn word(title: &'static str, key: &'static str, width: usize) -> Column {
    Column {
        title,
        key,
        width,
        left: true,
    }
}

pub(super) const fn number(title: &'static str, key: &'static str, width: usize) -> Column {
    Column {
        title,
        key,
        width,
        left: false,
    }
}

fn write_head(out: &mut dyn Write, columns: &[Column]) -> Result {
    for (index, column) in columns.iter().enumerate() {
        pad(out, columns, index, column.title.len(), &column.title)?;
    }
    out.write_char('\n')
}

fn write_values(
    out: &mut dyn Write,
    format: Format,
    columns: &[Column],
    values: &[Value<'_>],
) -> Result {
    match format {
        Format::Text => {
            for (index, value) in values.iter().enumerate() {
                let mut width = Width(0);
                write!(width, "{value}")?;
                pad(out, columns, index, width.0, value)?;
            }
            out.write_char('\n')
        }
        Format::Json => {
            let mut object = Object::begin(out)?;
            for (column, value) in columns.iter().zip(values) {
                match *value {
                    Value::Word(text) => object.bytes(column.key, text.as_bytes()),
                    Value::Guest(text) => object.bytes(column.key, text),
                    Value::Count(number)
                    | Value::Bytes(number)
                    | Value::Nanoseconds(number)
                    | Value::Share(number) => object.number(column.key, number),
                    Value::Counts(numbers) => object.numbers(column.key, numbers),
                    Value::Address(_) => object.display(column.key, value),
                    Value::Nothing => object.null(column.key),
                }?;
            }
            object.end()
        }
    }
}

/// Writes `text`, `length` characters long, into column `index`.
fn pad(
    out: &mut dyn Write,
    columns: &[Column],
    index: usize,
    length: usize,
    text: &dyn Display,
) -> Result {
    let (width, left) = columns
        .get(index)
        .map_or((0, true), |column| (column.width, column.left));
    let last = index + 1 >= columns.len();
    if index > 0 {
        out.write_str("  ")?;
    }
    let spaces = width.saturating_sub(length);
    let before = if left { 0 } else { spaces };
    let behind = if left && !last { spaces } else { 0 };
    for _ in 0..before {
        out.write_char(' ')?;
    }
    write!(out, "{text}")?;
    for _ in 0..behind {
        out.write_char(' ')?;
    }
    Ok(())
}

/// Counts characters.
struct Width(usize);

impl Write for Width {
    fn write_str(&mut self, text: &str) -> Result {
        self.0 += text.chars().count();
        Ok(())
    }

    fn write_char(&mut self, _: char) -> Result {
        self.0 += 1;
        Ok(())
    }
}

impl Display for Value<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        match *self {
            Self::Word(text) => out.write_str(text),
            Self::Guest(text) => Harmless(text).fmt(out),
            Self::Count(number) => write!(out, "{number}"),
            Self::Counts([]) => out.write_char('-'),
            Self::Counts(numbers) => {
                for (index, number) in numbers.iter().enumerate() {
                    let space = if index > 0 { " " } else { "" };
                    write!(out, "{space}{number}")?;
                }
                Ok(())
            }
            Self::Bytes(bytes) if bytes % (1 << 20) == 0 => write!(out, "{} MiB", bytes >> 20),
            Self::Bytes(bytes) => write!(out, "{} KiB", bytes.div_ceil(1 << 10)),
            Self::Nanoseconds(ns) => {
                write!(out, "{}.{:03} s", ns / 1_000_000_000, ns / 1_000_000 % 1000)
            }
            Self::Share(thousandths) => write!(out, "{}.{} %", thousandths / 10, thousandths % 10),
            Self::Address(address) => write!(out, "{address:#x}"),
            Self::Nothing => out.write_char('-'),
        }
    }
}

/// Shows text that a guest has chosen without letting it do anything to a terminal.
pub struct Harmless<'a>(pub &'a [u8]);

impl Display for Harmless<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                out.write_char(if is_harmless(character) {
                    character
                } else {
                    '?'
                })?;
            }
            if !chunk.invalid().is_empty() {
                out.write_char('?')?;
            }
        }
        Ok(())
    }
}

/// A virtual machine in `vm list` and `vm info`.
#[derive(Clone, Copy, Debug)]
pub struct VmRow<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it does: `running`, `stopped`, …
    pub state: &'a str,
    /// Its virtual CPUs.
    pub vcpus: u64,
    /// Its guest-physical memory, in bytes.
    pub memory: u64,
    /// Machine memory that backs it at present, in bytes.
    pub backed: u64,
    /// Time that its virtual CPUs have run, in nanoseconds.
    pub cpu_ns: u64,
    /// How often it was started.
    pub starts: u64,
    /// Why it ended last; empty if it never did. Guests choose part of it.
    pub reason: &'a [u8],
}

impl Row for VmRow<'_> {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 8] = [
            word("NAME", "vm", 12),
            word("STATE", "state", 8),
            number("VCPUS", "vcpus", 5),
            number("MEMORY", "memory_bytes", 8),
            number("BACKED", "backed_bytes", 10),
            number("CPU TIME", "cpu_ns", 12),
            number("STARTS", "starts", 6),
            word("LAST END", "reason", 0),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        let reason = match self.reason {
            [] => Value::Nothing,
            text => Value::Guest(text),
        };
        write(&[
            Value::Word(self.name),
            Value::Word(self.state),
            Value::Count(self.vcpus),
            Value::Bytes(self.memory),
            Value::Bytes(self.backed),
            Value::Nanoseconds(self.cpu_ns),
            Value::Count(self.starts),
            reason,
        ])
    }
}

/// A virtual CPU in `vm info`.
#[derive(Clone, Copy, Debug)]
pub struct VcpuRow<'a> {
    /// The virtual machine's name.
    pub vm: &'a str,
    /// Its number in the virtual machine, from 0.
    pub vcpu: u64,
    /// What it does: `running`, `ready`, `waiting`, …
    pub state: &'a str,
    /// The machine's CPU that it runs on or ran on last.
    pub cpu: Option<u64>,
    /// Time that it has run, in nanoseconds.
    pub cpu_ns: u64,
    /// Its program counter when it was last seen, a guest-virtual address.
    pub pc: u64,
}

impl Row for VcpuRow<'_> {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 6] = [
            word("VM", "vm", 12),
            number("VCPU", "vcpu", 4),
            word("STATE", "state", 8),
            number("CPU", "cpu", 3),
            number("CPU TIME", "cpu_ns", 12),
            number("PC", "pc", 18),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        write(&[
            Value::Word(self.vm),
            Value::Count(self.vcpu),
            Value::Word(self.state),
            self.cpu.map_or(Value::Nothing, Value::Count),
            Value::Nanoseconds(self.cpu_ns),
            Value::Address(self.pc),
        ])
    }
}

/// One of the machine's CPUs in `cpus`.
#[derive(Clone, Copy, Debug)]
pub struct CpuRow<'a> {
    /// Its number.
    pub cpu: u64,
    /// Its node.
    pub node: u64,
    /// Machine address of the monitor code that it executes, from its program counter.
    pub code: u64,
    /// Whose virtual CPU it runs: name and number; nothing when idle.
    pub running: Option<(&'a str, u64)>,
    /// Time without a virtual CPU to run since boot, in nanoseconds.
    pub idle_ns: u64,
    /// That time's part of the time since boot, in thousandths.
    pub idle_share: u64,
    /// Switches between virtual CPUs.
    pub switches: u64,
}

impl Row for CpuRow<'_> {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 8] = [
            number("CPU", "cpu", 3),
            number("NODE", "node", 4),
            number("CODE AT", "code", 18),
            number("IDLE", "idle_thousandths", 7),
            number("IDLE TIME", "idle_ns", 12),
            number("SWITCHES", "switches", 10),
            number("VCPU", "vcpu", 4),
            word("RUNS", "vm", 0),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        let (vm, vcpu) = match self.running {
            Some((vm, vcpu)) => (Value::Word(vm), Value::Count(vcpu)),
            None => (Value::Nothing, Value::Nothing),
        };
        write(&[
            Value::Count(self.cpu),
            Value::Count(self.node),
            Value::Address(self.code),
            Value::Share(self.idle_share),
            Value::Nanoseconds(self.idle_ns),
            Value::Count(self.switches),
            vcpu,
            vm,
        ])
    }
}

/// A node's memory in `mem`, in bytes; also their sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemRow {
    /// The node, or nothing for the sum of all.
    pub node: Option<u64>,
    /// Memory of the node.
    pub total: u64,
    /// Not used for anything.
    pub free: u64,
    /// Given to virtual machines, one each.
    pub guests: u64,
    /// Pages with several users, or for such.
    pub shared: u64,
    /// The monitor's code and constants.
    pub code: u64,
    /// The monitor's variables, stacks and heap.
    pub data: u64,
    /// The monitor's tables: memmap, pmaps, second-level TLBs.
    pub tables: u64,
    /// The payload: guest kernels and ramdisks, kept to start virtual machines.
    pub payload: u64,
}

impl MemRow {
    /// Adds another node's memory to this sum.
    pub fn add(&mut self, row: &Self) {
        for (sum, value) in [
            (&mut self.total, row.total),
            (&mut self.free, row.free),
            (&mut self.guests, row.guests),
            (&mut self.shared, row.shared),
            (&mut self.code, row.code),
            (&mut self.data, row.data),
            (&mut self.tables, row.tables),
            (&mut self.payload, row.payload),
        ] {
            *sum = sum.saturating_add(value);
        }
    }
}

impl Row for MemRow {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 9] = [
            number("NODE", "node", 4),
            number("TOTAL", "total_bytes", 10),
            number("FREE", "free_bytes", 11),
            number("GUESTS", "guests_bytes", 11),
            number("SHARED", "shared_bytes", 11),
            number("CODE", "code_bytes", 8),
            number("DATA", "data_bytes", 8),
            number("TABLES", "tables_bytes", 9),
            number("PAYLOAD", "payload_bytes", 10),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        write(&[
            self.node.map_or(Value::Word("all"), Value::Count),
            Value::Bytes(self.total),
            Value::Bytes(self.free),
            Value::Bytes(self.guests),
            Value::Bytes(self.shared),
            Value::Bytes(self.code),
            Value::Bytes(self.data),
            Value::Bytes(self.tables),
            Value::Bytes(self.payload),
        ])
    }
}

/// One direction of a virtual machine's, or the gateway's, traffic in `net`.
#[derive(Clone, Copy, Debug)]
pub struct NetRow<'a> {
    /// The virtual machine's name; nothing for the gateway.
    pub vm: Option<&'a str>,
    /// `sent` or `received`.
    pub direction: &'a str,
    /// What went this way.
    pub traffic: Traffic,
}

impl Row for NetRow<'_> {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 7] = [
            word("NAME", "vm", 12),
            word("DIRECTION", "direction", 9),
            number("MESSAGES", "messages", 10),
            number("BYTES", "bytes", 12),
            number("REMAPPED", "remapped_pages", 9),
            number("COPIED", "copied_bytes", 12),
            number("DROPPED", "dropped", 8),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        write(&[
            Value::Word(self.vm.unwrap_or("(gateway)")),
            Value::Word(self.direction),
            Value::Count(self.traffic.messages),
            Value::Bytes(self.traffic.bytes),
            Value::Count(self.traffic.remapped),
            Value::Bytes(self.traffic.copied),
            Value::Count(self.traffic.dropped),
        ])
    }
}

/// A real device in `devices`.
#[derive(Clone, Copy, Debug)]
pub struct DeviceRow<'a> {
    /// Its slot of the PCI bus.
    pub slot: u64,
    /// What it is.
    pub device: &'a str,
    /// The line of the interrupt controller on which it asks for service.
    pub line: u64,
    /// `works`, or `failed`: it was switched off.
    pub state: &'a str,
    /// Length of a disk.
    pub bytes: Option<u64>,
    /// Link-level address of a card.
    pub address: Option<u64>,
    /// Transfers, or frames sent.
    pub requests: u64,
    /// Frames received.
    pub received: Option<u64>,
    /// Transfers that failed, or what came and was no frame.
    pub errors: u64,
}

impl Row for DeviceRow<'_> {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 9] = [
            number("SLOT", "slot", 4),
            word("DEVICE", "device", 12),
            number("LINE", "line", 4),
            word("STATE", "state", 6),
            number("SIZE", "bytes", 10),
            number("ADDRESS", "address", 14),
            number("REQUESTS", "requests", 10),
            number("RECEIVED", "received", 10),
            number("ERRORS", "errors", 8),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        write(&[
            Value::Count(self.slot),
            Value::Word(self.device),
            Value::Count(self.line),
            Value::Word(self.state),
            self.bytes.map_or(Value::Nothing, Value::Bytes),
            self.address.map_or(Value::Nothing, Value::Address),
            Value::Count(self.requests),
            self.received.map_or(Value::Nothing, Value::Count),
            Value::Count(self.errors),
        ])
    }
}

/// A counter in `stats`: of a CPU, of a virtual machine, or of the whole monitor.
#[derive(Clone, Copy, Debug)]
pub struct StatRow<'a> {
    /// Whose counter it is, if a CPU's.
    pub cpu: Option<u64>,
    /// Whose counter it is, if a virtual machine's.
    pub vm: Option<&'a str>,
    /// What is counted.
    pub counter: &'a str,
    /// How often it was seen.
    pub value: u64,
}

impl Row for StatRow<'_> {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 4] = [
            number("CPU", "cpu", 3),
            word("VM", "vm", 12),
            word("COUNTER", "counter", 28),
            number("VALUE", "value", 14),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        write(&[
            self.cpu.map_or(Value::Nothing, Value::Count),
            self.vm.map_or(Value::Nothing, Value::Word),
            Value::Word(self.counter),
            Value::Count(self.value),
        ])
    }
}

/// One invariant's audit in `check`.
#[derive(Clone, Copy, Debug)]
pub struct CheckRow<'a> {
    /// What has to hold.
    pub invariant: &'a str,
    /// How many things were looked at.
    pub checked: u64,
    /// For how many it does not hold.
    pub failed: u64,
}

impl Row for CheckRow<'_> {
    const COLUMNS: &'static [Column] = {
        static TABLE: [Column; 3] = [
            number("CHECKED", "checked", 10),
            number("FAILED", "failed", 8),
            word("INVARIANT", "invariant", 0),
        ];
        &TABLE
    };

    fn values(&self, write: &mut dyn FnMut(&[Value<'_>]) -> Result) -> Result {
        write(&[
            Value::Count(self.checked),
            Value::Count(self.failed),
            Value::Word(self.invariant),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALPHA: VmRow<'_> = VmRow {
        name: "alpha",
        state: "running",
        vcpus: 2,
        memory: 128 << 20,
        backed: 5 << 14,
        cpu_ns: 12_345_678_901,
        starts: 1,
        reason: b"",
    };

    fn text<R: Row>(rows: &[R], format: Format) -> String {
        let mut out = String::new();
        R::write_head(&mut out, format).unwrap();
        for row in rows {
            row.write_row(&mut out, format).unwrap();
        }
        out
    }

    #[test]
    fn text_is_aligned() {
        let beta = VmRow {
            name: "beta",
            state: "stopped",
            reason: b"panic: \x1b[2J\xff",
            ..ALPHA
        };
        assert_eq!(
            text(&[ALPHA, beta], Format::Text),
            "NAME          STATE     VCPUS    MEMORY      BACKED      CPU TIME  STARTS  LAST END\n\
             alpha         running       2   128 MiB      80 KiB      12.345 s       1  -\n\
             beta          stopped       2   128 MiB      80 KiB      12.345 s       1  panic: ?[2J?\n"
        );
    }

    #[test]
    fn json_has_plain_numbers_with_units_in_their_keys() {
        assert_eq!(
            text(&[ALPHA], Format::Json),
            "{\"vm\":\"alpha\",\"state\":\"running\",\"vcpus\":2,\"memory_bytes\":134217728,\
             \"backed_bytes\":81920,\"cpu_ns\":12345678901,\"starts\":1,\"reason\":null}\n"
        );
        let cpu = CpuRow {
            cpu: 3,
            node: 1,
            code: 0x8800_4000,
            running: None,
            idle_ns: 5,
            idle_share: 999,
            switches: 0,
        };
        let row: serde_json::Value = serde_json::from_str(&text(&[cpu], Format::Json)).unwrap();
        assert_eq!(row["code"], "0x88004000");
        assert_eq!(row["vm"], serde_json::Value::Null);
        assert!(text(&[cpu], Format::Text).contains("99.9 %"));
    }

    #[test]
    fn memory_adds_up() {
        let node = MemRow {
            node: Some(0),
            total: 512 << 20,
            free: 1 << 14,
            ..MemRow::default()
        };
        let mut sum = MemRow::default();
        sum.add(&node);
        sum.add(&node);
        assert_eq!((sum.node, sum.total, sum.free), (None, 1 << 30, 1 << 15));
        assert!(text(&[sum], Format::Text).contains(" all    1024 MiB       32 KiB"));
    }

    proptest! {
        #[test]
        fn every_listing_has_as_many_values_as_columns(
            numbers in any::<[u64; 7]>(), reason in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let [a, b, c, d, e, f, g] = numbers;
            let lines = [
                text(&[VmRow { vcpus: a, memory: b, backed: c, cpu_ns: d, reason: &reason, ..ALPHA }], Format::Json),
                text(&[VcpuRow { vm: "v", vcpu: a, state: "ready", cpu: Some(b), cpu_ns: c, pc: d }], Format::Json),
                text(&[CpuRow { cpu: a, node: b, code: c, running: Some(("v", d)), idle_ns: e, idle_share: f, switches: g }], Format::Json),
                text(&[MemRow { node: None, total: a, free: b, guests: c, shared: a, code: d, data: e, tables: f, payload: g }], Format::Json),
                text(&[NetRow { vm: None, direction: "sent", traffic: Traffic { messages: a, bytes: b, remapped: c, copied: d, dropped: e } }], Format::Json),
                text(&[DeviceRow { slot: a, device: "disk", line: b, state: "works", bytes: Some(c), address: None, requests: d, received: Some(e), errors: f }], Format::Json),
                text(&[StatRow { cpu: Some(a), vm: None, counter: "x", value: b }], Format::Json),
                text(&[CheckRow { invariant: "x", checked: a, failed: b }], Format::Json),
            ];
            for (line, columns) in lines.iter().zip([8, 6, 8, 9, 7, 9, 4, 3]) {
                prop_assert_eq!(line.matches('\n').count(), 1);
                let row: serde_json::Value = serde_json::from_str(line).unwrap();
                prop_assert_eq!(row.as_object().unwrap().len(), columns);
            }
        }
    }
}
