//! Who owns which memory at boot: the nodes, and what the monitor takes for itself.
//!
//! Pure arithmetic. Each node's memory begins with what its own CPUs use all the time:
//!
//! ```text
//! node 0    mailbox and boot scratch (32 KiB), monitor image (read-only part, a gap that is
//!           free, shared data), heap, per-CPU blocks, stacks, free memory
//! node 1..  copy of the image's read-only part, per-CPU blocks, stacks, free memory
//! ```
//! The payload may lie anywhere behind that; it is kept, for virtual machines that start again.

use crate::address::MachineAddress;
use core::{fmt, ops};
use disco_abi::PAGE_SIZE;
use disco_flash::{CPUS_MAX, RAM_BASE};

/// The mailbox through which CPUs that start learn where to go: 16 bytes a CPU, the address of
/// the code and its `$a0`. Behind its page the reset code has its scratch memory.
pub const MAILBOX: MachineAddress = MachineAddress(RAM_BASE);
/// Where the monitor's image begins. `linker.ld` says the same.
pub const IMAGE: MachineAddress = MachineAddress(RAM_BASE + 0x8000);
/// Bytes of a CPU's stack.
pub const STACK_SIZE: u64 = 32 << 10;
/// Free ranges a node has at most: within the image, before and behind the payload.
pub const FREE_MAX: usize = 3;

/// Memory is used in multiples of this.
const FINE: u64 = 2 << 20;
/// Per-CPU blocks begin at multiples of this many bytes.
const BLOCK_ALIGN: u64 = 4096;

/// A range of machine memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// First byte.
    pub start: MachineAddress,
    /// The byte behind the last one.
    pub end: MachineAddress,
}

impl Range {
    /// The range from `start` to before `end`; empty if there is nothing between them.
    pub const fn new(start: u64, end: u64) -> Self {
        Self {
            start: MachineAddress(start),
            end: MachineAddress(if end < start { start } else { end }),
        }
    }

    /// Bytes.
    pub const fn len(self) -> u64 {
        self.end.0 - self.start.0
    }

    /// Whether it holds no byte.
    pub const fn is_empty(self) -> bool {
        self.end.0 == self.start.0
    }

    /// Whether all of `inner` lies within.
    pub const fn contains(self, inner: Range) -> bool {
        self.start.0 <= inner.start.0 && inner.end.0 <= self.end.0
    }

    /// Whether some byte is in both.
    pub const fn overlaps(self, other: Range) -> bool {
        self.start.0 < other.end.0 && other.start.0 < self.end.0
    }
}

/// What has to be laid out. All lengths in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// CPUs of the machine, 1 to [`CPUS_MAX`].
    pub cpus: usize,
    /// Nodes, 1 to `cpus`.
    pub nodes: usize,
    /// RAM.
    pub memory: u64,
    /// The payload; empty if there is none.
    pub payload: Range,
    /// The image's part that each node has of its own.
    pub code_len: u64,
    /// Where in the image the data begins that all share.
    pub shared_at: u64,
    /// The image's whole length in memory.
    pub image_len: u64,
    /// The boot heap.
    pub heap_len: u64,
    /// One CPU's private block.
    pub block_len: u64,
}

/// One node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodeLayout {
    /// All of its memory.
    pub memory: Range,
    /// Its copy of the monitor's code and constants.
    pub code: Range,
    first_cpu: usize,
    end_cpu: usize,
    free: [Range; FREE_MAX],
}

impl NodeLayout {
    /// Its CPUs.
    pub const fn cpus(&self) -> ops::Range<usize> {
        self.first_cpu..self.end_cpu
    }

    /// Its free memory: whole 16 KiB pages, in order of address.
    pub fn free(&self) -> impl Iterator<Item = Range> + '_ {
        self.free.iter().copied().filter(|range| !range.is_empty())
    }
}

/// One CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CpuLayout {
    /// Its node.
    pub node: usize,
    /// Its stack.
    pub stack: Range,
    /// Its private block.
    pub block: Range,
}

/// The whole machine.
#[derive(Clone, Copy, Debug)]
pub struct MachineLayout {
    /// What the CPUs share: data of the image. In node 0.
    pub shared: Range,
    /// The boot heap. In node 0.
    pub heap: Range,
    /// The payload; empty if there is none.
    pub payload: Range,
    node_count: usize,
    cpu_count: usize,
    nodes: [NodeLayout; CPUS_MAX],
    cpus: [CpuLayout; CPUS_MAX],
}

/// Why a machine cannot be laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LayoutError {
    /// There are no nodes, more than CPUs, or too many CPUs.
    Counts,
    /// A node has less memory than the monitor needs in it.
    Node {
        /// Its number.
        node: usize,
        /// Bytes the monitor needs in it.
        needs: u64,
        /// Bytes it has.
        has: u64,
    },
    /// The payload lies outside of the machine's memory, or in the monitor's own.
    Payload {
        /// The payload.
        payload: Range,
    },
}

impl fmt::Display for LayoutError {
    #[cold]
    #[inline(never)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counts => f.write_str("it needs 1 to 16 CPUs, and 1 to as many nodes"),
            Self::Node { node, needs, has } => write!(
                f,
                "node {node} has {} KiB of memory, the monitor alone needs {} KiB of it: give the \
                 machine more memory or fewer nodes",
                has / 1024,
                needs / 1024
            ),
            Self::Payload { payload } => write!(
                f,
                "the payload ({:#x} to {:#x}) is not in memory, or where the monitor goes",
                payload.start.0, payload.end.0
            ),
        }
    }
}

impl MachineLayout {
    /// Lays `request` out.
    pub fn new(request: &Request) -> Result<Self, LayoutError> {
        let Request {
            cpus,
            nodes,
            memory,
            payload,
            ..
        } = *request;
        if !(1..=CPUS_MAX).contains(&cpus) || !(1..=cpus).contains(&nodes) {
            return Err(LayoutError::Counts);
        }
        let machine = Range::new(RAM_BASE, RAM_BASE.saturating_add(memory & !(FINE - 1)));
        if !payload.is_empty() && !machine.contains(payload) {
            return Err(LayoutError::Payload { payload });
        }
        let mut layout = Self {
            shared: Range::new(IMAGE.0 + request.shared_at, IMAGE.0 + request.image_len),
            heap: Range::default(),
            payload,
            node_count: nodes,
            cpu_count: cpus,
            nodes: Default::default(),
            cpus: Default::default(),
        };
        for node in 0..nodes {
            layout.lay_out_node(request, machine, node)?;
        }
        Ok(layout)
    }

    fn lay_out_node(
        &mut self,
        request: &Request,
        machine: Range,
        node: usize,
    ) -> Result<(), LayoutError> {
        let memory = node_memory(machine, request.nodes, node);
        let mut carver = Carver {
            next: memory.start.0,
            hole: self.payload,
        };
        let mut gap = Range::default();
        let code = if node == 0 {
            carver.next = IMAGE.0.saturating_add(request.image_len);
            self.heap = carver.take(request.heap_len, PAGE_SIZE);
            let end = up(IMAGE.0.saturating_add(request.code_len), PAGE_SIZE);
            let shared = self.shared.start.0 & !(PAGE_SIZE - 1);
            gap = Range::new(end, shared.max(end));
            Range::new(IMAGE.0, end)
        } else {
            carver.take(request.code_len, PAGE_SIZE)
        };
        let cpus = node_cpus(request.cpus, request.nodes, node);
        for cpu in cpus.clone() {
            let block = carver.take(request.block_len, BLOCK_ALIGN);
            self.cpus[cpu] = CpuLayout {
                node,
                block,
                stack: Range::default(),
            };
        }
        for cpu in cpus.clone() {
            self.cpus[cpu].stack = carver.take(STACK_SIZE, BLOCK_ALIGN);
        }
        let taken = Range::new(memory.start.0, up(carver.next, PAGE_SIZE));
        if !memory.contains(taken) || taken.len() == memory.len() {
            return Err(LayoutError::Node {
                node,
                needs: taken.len(),
                has: memory.len(),
            });
        }
        if node == 0 && Range::new(memory.start.0, self.heap.start.0).overlaps(self.payload) {
            return Err(LayoutError::Payload {
                payload: self.payload,
            });
        }
        self.nodes[node] = NodeLayout {
            memory,
            code,
            first_cpu: cpus.start,
            end_cpu: cpus.end,
            free: free_around(gap, Range::new(taken.end.0, memory.end.0), self.payload),
        };
        Ok(())
    }

    /// The nodes, in order of address.
    pub fn nodes(&self) -> &[NodeLayout] {
        &self.nodes[..self.node_count]
    }

    /// The CPUs, by number.
    pub fn cpus(&self) -> &[CpuLayout] {
        &self.cpus[..self.cpu_count]
    }
}

/// Takes memory from an address upwards, around a hole.
struct Carver {
    next: u64,
    hole: Range,
}

impl Carver {
    fn take(&mut self, len: u64, align: u64) -> Range {
        let len = up(len, align);
        let mut start = up(self.next, align);
        if Range::new(start, start.saturating_add(len)).overlaps(self.hole) {
            start = up(self.hole.end.0, align);
        }
        self.next = start.saturating_add(len);
        Range::new(start, self.next)
    }
}

/// `value` rounded up to a multiple of `align`, a power of 2.
const fn up(value: u64, align: u64) -> u64 {
    value.saturating_add(align - 1) & !(align - 1)
}

/// Memory of one of `nodes` nodes.
fn node_memory(machine: Range, nodes: usize, node: usize) -> Range {
    let offsets = disco_flash::node_memory(machine.len(), nodes, node);
    let at = |offset| machine.start.0.saturating_add(offset);
    Range::new(at(offsets.start), at(offsets.end))
}

/// The node of CPU `cpu`: CPUs are divided evenly, in order.
pub const fn node_of_cpu(cpus: usize, nodes: usize, cpu: usize) -> usize {
    cpu * nodes / cpus
}

/// CPUs of one of `nodes` nodes.
fn node_cpus(cpus: usize, nodes: usize, node: usize) -> ops::Range<usize> {
    let first = |node: usize| (node * cpus).div_ceil(nodes);
    first(node)..first(node + 1)
}

/// `gap`, and what of `range` is left before and behind `hole`, in whole pages.
fn free_around(gap: Range, range: Range, hole: Range) -> [Range; FREE_MAX] {
    if !range.overlaps(hole) {
        return [gap, range, Range::default()];
    }
    let hole_start = hole.start.0 & !(PAGE_SIZE - 1);
    [
        gap,
        Range::new(range.start.0, hole_start.max(range.start.0)),
        Range::new(up(hole.end.0, PAGE_SIZE).min(range.end.0), range.end.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn request(cpus: usize, nodes: usize, memory: u64) -> Request {
        Request {
            cpus,
            nodes,
            memory,
            payload: Range::default(),
            code_len: 0x1_9c40,
            shared_at: 0x2_0000,
            image_len: 0x2_8000,
            heap_len: MIB,
            block_len: 5000,
        }
    }

    /// Everything the monitor keeps: no two may overlap each other or free memory.
    fn pieces(layout: &MachineLayout) -> Vec<Range> {
        let mut all = vec![
            Range::new(MAILBOX.0, IMAGE.0),
            layout.shared,
            layout.heap,
            layout.payload,
        ];
        for node in layout.nodes() {
            all.push(node.code);
            all.extend(node.free());
        }
        for cpu in layout.cpus() {
            all.extend([cpu.stack, cpu.block]);
        }
        all.retain(|range| !range.is_empty());
        all
    }

    fn check(request: &Request, layout: &MachineLayout) {
        let pieces = pieces(layout);
        for (index, one) in pieces.iter().enumerate() {
            for other in &pieces[index + 1..] {
                assert!(
                    !one.overlaps(*other),
                    "{one:x?} and {other:x?} of {request:x?}"
                );
            }
        }
        let mut end = RAM_BASE;
        for (number, node) in layout.nodes().iter().enumerate() {
            assert_eq!(node.memory.start.0, end);
            end = node.memory.end.0;
            assert!(node.memory.contains(node.code));
            assert!(!node.cpus().is_empty());
            for cpu in node.cpus() {
                let of_cpu = layout.cpus()[cpu];
                assert_eq!(of_cpu.node, number);
                assert_eq!(node_of_cpu(request.cpus, request.nodes, cpu), number);
                assert!(node.memory.contains(of_cpu.stack) && of_cpu.stack.len() == STACK_SIZE);
                assert!(node.memory.contains(of_cpu.block));
                assert!(of_cpu.block.len() >= request.block_len);
            }
            for free in node.free() {
                assert!(node.memory.contains(free));
                assert_eq!((free.start.0 | free.end.0) % PAGE_SIZE, 0);
            }
        }
        assert_eq!(end, RAM_BASE + request.memory);
    }

    #[test]
    fn every_count_of_cpus_and_nodes() {
        for memory in [128 * MIB, 510 * MIB, 2048 * MIB] {
            for cpus in 1..=CPUS_MAX {
                for nodes in 1..=cpus {
                    let mut request = request(cpus, nodes, memory);
                    check(&request, &MachineLayout::new(&request).unwrap());
                    let payload = RAM_BASE + 4 * MIB;
                    request.payload = Range::new(payload, payload + 3 * MIB + 100);
                    check(&request, &MachineLayout::new(&request).unwrap());
                }
            }
        }
    }

    #[test]
    fn cpus_are_divided_in_order() {
        let layout = MachineLayout::new(&request(5, 2, 256 * MIB)).unwrap();
        assert_eq!(layout.nodes()[0].cpus(), 0..3);
        assert_eq!(layout.nodes()[1].cpus(), 3..5);
    }

    #[test]
    fn nodes_begin_at_multiples_of_16_mib_where_they_are_large() {
        let layout = MachineLayout::new(&request(3, 3, 1024 * MIB)).unwrap();
        let starts: Vec<u64> = layout
            .nodes()
            .iter()
            .map(|node| node.memory.start.0)
            .collect();
        assert_eq!(
            starts,
            [RAM_BASE, RAM_BASE + 336 * MIB, RAM_BASE + 672 * MIB]
        );
    }

    #[test]
    fn a_payload_across_nodes_is_free_in_none() {
        let mut request = request(2, 2, 512 * MIB);
        request.payload = Range::new(RAM_BASE + 200 * MIB, RAM_BASE + 300 * MIB);
        let layout = MachineLayout::new(&request).unwrap();
        check(&request, &layout);
        assert!(layout.nodes()[1].code.start.0 >= request.payload.end.0);
        request.payload = Range::new(RAM_BASE + 300 * MIB, RAM_BASE + 512 * MIB);
        let layout = MachineLayout::new(&request).unwrap();
        assert_eq!(layout.nodes()[1].free().count(), 1);
        check(&request, &layout);
    }

    #[test]
    fn errors() {
        assert_eq!(
            MachineLayout::new(&request(2, 3, 64 * MIB)).unwrap_err(),
            LayoutError::Counts
        );
        assert_eq!(
            MachineLayout::new(&request(17, 1, 64 * MIB)).unwrap_err(),
            LayoutError::Counts
        );
        let small = MachineLayout::new(&request(16, 1, 2 * MIB));
        assert!(small.is_ok());
        let small = MachineLayout::new(&request(16, 16, 8 * MIB)).unwrap_err();
        assert!(matches!(small, LayoutError::Node { .. }));
        let mut outside = request(1, 1, 64 * MIB);
        outside.payload = Range::new(RAM_BASE + 63 * MIB, RAM_BASE + 65 * MIB);
        assert!(matches!(
            MachineLayout::new(&outside),
            Err(LayoutError::Payload { .. })
        ));
        outside.payload = Range::new(RAM_BASE, RAM_BASE + MIB);
        assert!(matches!(
            MachineLayout::new(&outside),
            Err(LayoutError::Payload { .. })
        ));
    }
}
