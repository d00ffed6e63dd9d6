//! Simulated CPUs, as turns: what the tests run the scheduler on.

use super::*;
use crate::machine::{Audit, NodeId};
use std::collections::VecDeque;

/// Ticks a second in the simulation.
pub const HZ: u64 = 1_000_000;
pub const MS: u64 = HZ / 1000;

/// Interrupts that were sent and have not arrived, and posts to make in the middle of turns.
#[derive(Default)]
pub struct Wires {
    pub flying: Vec<CpuId>,
    /// Virtual CPUs that somebody posts to at the next points within a turn.
    pub meanwhile: VecDeque<VcpuId>,
    pub stopped: Vec<VcpuId>,
}

struct Port<'a> {
    wires: &'a mut Wires,
    scheduler: &'static Scheduler,
}

impl Port<'_> {
    fn meanwhile(&mut self) {
        if let Some(vcpu) = self.wires.meanwhile.pop_front() {
            let home = self.scheduler.post(vcpu, 1);
            self.wires.flying.extend(home);
        }
    }
}

impl Local for Port<'_> {
    fn interrupt(&mut self, cpu: CpuId) {
        self.meanwhile();
        self.wires.flying.push(cpu);
    }
    fn leave(&mut self, _: VcpuId) {
        self.meanwhile();
    }
    fn stopped(&mut self, vcpu: VcpuId) {
        self.wires.stopped.push(vcpu);
        self.meanwhile();
    }
}

pub struct World {
    pub scheduler: &'static Scheduler,
    pub queues: Vec<RunQueue>,
    pub until: Vec<u64>,
    pub interrupted: Vec<bool>,
    pub wires: Wires,
    /// Posters that have set the posted word and read the home, and not written the inbox.
    pub posting: Vec<(VcpuId, CpuId)>,
    pub now: u64,
}

impl World {
    /// A CPU for each entry of `nodes`, on that node.
    pub fn new(nodes: &[u8]) -> Self {
        let scheduler: &'static Scheduler = Box::leak(Box::default());
        for (cpu, &node) in (0..).zip(nodes) {
            let mailbox = Box::leak(Box::new(Mailbox::new(NodeId(node))));
            scheduler.add_cpu(CpuId(cpu), mailbox);
        }
        let cpus = 0..nodes.len() as u8;
        let mut world = Self {
            scheduler,
            queues: cpus
                .map(|cpu| RunQueue::new(CpuId(cpu), Times::at(HZ)))
                .collect(),
            until: vec![u64::MAX; nodes.len()],
            interrupted: vec![false; nodes.len()],
            wires: Wires::default(),
            posting: Vec::new(),
            now: 0,
        };
        (0..nodes.len()).for_each(|cpu| world.turn(cpu));
        world
    }

    pub fn turn(&mut self, cpu: usize) {
        self.interrupted[cpu] = false;
        let mut port = Port {
            wires: &mut self.wires,
            scheduler: self.scheduler,
        };
        let turn = self.queues[cpu].turn(self.scheduler, self.now, &mut port);
        assert_eq!(turn.run, self.queues[cpu].current());
        self.until[cpu] = turn.until;
    }

    pub fn start(&mut self, vcpu: u16, cpu: u8) -> bool {
        self.start_at(vcpu, cpu, 0)
    }

    pub fn start_at(&mut self, vcpu: u16, cpu: u8, begins: u64) -> bool {
        let started = self.scheduler.start(VcpuId(vcpu), CpuId(cpu), begins);
        if started {
            self.wires.flying.push(CpuId(cpu));
        }
        started
    }

    pub fn post(&mut self, vcpu: u16) {
        let home = self.scheduler.post(VcpuId(vcpu), 1);
        self.wires.flying.extend(home);
    }

    /// The first half of a post: the home may change before the second.
    pub fn begin_post(&mut self, vcpu: u16) {
        let vcpu = VcpuId(vcpu);
        let home = self.scheduler.set_posted(vcpu, 1);
        self.posting.extend(home.map(|home| (vcpu, home)));
    }

    /// The second half of a post.
    pub fn end_post(&mut self, which: usize) {
        if !self.posting.is_empty() {
            let which = which % self.posting.len();
            let (vcpu, home) = self.posting.swap_remove(which);
            self.scheduler.mailbox(home).unwrap().inbox.insert(vcpu);
            self.wires.flying.push(home);
        }
    }

    pub fn stop(&mut self, vcpu: u16) {
        let home = self.scheduler.stop(VcpuId(vcpu));
        self.wires.flying.extend(home);
    }

    pub fn state(&self, vcpu: u16) -> Option<State> {
        let home = self.scheduler.home(VcpuId(vcpu))?;
        self.queues[usize::from(home.0)].state(VcpuId(vcpu))
    }

    /// The node of the home of a virtual CPU that is not off.
    pub fn node(&self, vcpu: u16) -> Option<NodeId> {
        let home = self.scheduler.home(VcpuId(vcpu))?;
        self.scheduler.mailbox(home).map(|mail| mail.node)
    }

    /// One sent interrupt arrives.
    pub fn arrive(&mut self, which: usize) {
        if !self.wires.flying.is_empty() {
            let which = which % self.wires.flying.len();
            let cpu = self.wires.flying.swap_remove(which);
            self.interrupted[usize::from(cpu.0)] = true;
        }
    }

    /// All interrupts arrive and are taken, until there are none.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            while !self.wires.flying.is_empty() {
                self.arrive(0);
            }
            let Some(cpu) = self.interrupted.iter().position(|&due| due) else {
                return;
            };
            self.turn(cpu);
        }
        panic!("the CPUs interrupt each other without end");
    }

    /// `ticks` pass; every CPU takes the turns that are due.
    pub fn pass(&mut self, ticks: u64) {
        self.now += ticks;
        for cpu in 0..self.queues.len() {
            if self.now >= self.until[cpu] {
                self.turn(cpu);
            }
        }
        self.settle();
    }

    /// What holds between any two steps, with interrupts still under way.
    pub fn assert_sound(&self) {
        let mail = |cpu: CpuId| self.scheduler.mailbox(cpu).unwrap();
        let cpus = || self.queues.iter().map(RunQueue::cpu);
        for vcpu in (0..VCPUS_MAX as u16).map(VcpuId) {
            let holders: Vec<CpuId> = self
                .queues
                .iter()
                .filter(|queue| queue.state(vcpu).is_some())
                .map(RunQueue::cpu)
                .collect();
            let mailed = |cpu| mail(cpu).inbox.contains(vcpu);
            match self.scheduler.home(vcpu) {
                None => assert_eq!(holders, [], "{vcpu:?} is off"),
                Some(home) if holders.is_empty() => assert!(mailed(home), "{vcpu:?} is lost"),
                Some(home) => assert_eq!(holders, [home], "{vcpu:?}"),
            }
            let waits = matches!(self.state(vcpu.0), Some(State::Waiting { .. }));
            if waits && self.scheduler.posted(vcpu) != 0 {
                let begun = self.posting.iter().any(|&(posted, _)| posted == vcpu);
                assert!(
                    begun || cpus().any(mailed),
                    "{vcpu:?} sleeps through a post"
                );
            }
        }
        for cpu in cpus().filter(|&cpu| mail(cpu).has_mail()) {
            let due = self.interrupted[usize::from(cpu.0)];
            assert!(due || self.wires.flying.contains(&cpu), "{cpu:?} idles");
        }
        let homed: u32 = cpus().map(|cpu| mail(cpu).homed()).sum();
        let on = (0..VCPUS_MAX as u16).filter(|&v| self.scheduler.home(VcpuId(v)).is_some());
        assert_eq!(homed, on.count() as u32);
        let mut audit = Audit::new();
        for queue in &self.queues {
            queue.audit(self.scheduler, &mut audit);
        }
        assert_eq!(audit.failures().next(), None);
    }
}
