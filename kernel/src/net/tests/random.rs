//! Random lists between virtual machines, against a model that only copies.

use super::harness::{header, list, slot, Net, GUEST_BYTES, GUEST_PAGES};
use crate::machine::simulation::SimulatedMemory;
use crate::machine::VmId;
use crate::net::Refused;
use disco_abi::{
    net_link_address, Segment, NET_FRAGMENTS_MAX, NET_MESSAGE_MAX, NET_MESSAGE_MIN, NET_PAGES,
    PAGE_SIZE,
};
use proptest::prelude::*;
use std::collections::VecDeque;

const VMS: usize = 3;
const QUEUE: usize = 6;
const BROADCAST: u64 = 0xffff_ffff_ffff;

#[derive(Clone, Debug)]
struct Sent {
    to: u64,
    from: u64,
    fragments: Vec<Segment>,
}

#[derive(Clone, Debug)]
enum Step {
    Send(usize, Vec<Sent>),
    Receive(usize, (u64, u64), Vec<u64>),
    Store(usize, u64, u8),
    Reboot(usize),
}

fn fragment() -> impl Strategy<Value = Segment> {
    let page = 0..GUEST_PAGES + 1;
    prop_oneof![
        4 => (page.clone(), 1u64..3).prop_map(|(page, count)| (page * PAGE_SIZE, count * PAGE_SIZE)),
        4 => (0..GUEST_BYTES, 0u64..3000),
        1 => (0..GUEST_BYTES, 0..3 * PAGE_SIZE),
        1 => (any::<u64>(), any::<u64>()),
    ]
    .prop_map(|(address, bytes)| Segment { address, bytes })
}

fn sent(vm: usize) -> impl Strategy<Value = Sent> {
    let own = net_link_address(vm as u64);
    let to = prop_oneof![
        8 => (0..VMS as u64).prop_map(net_link_address),
        2 => Just(BROADCAST),
        1 => any::<u64>().prop_map(|to| to >> 16),
    ];
    let from = prop_oneof![15 => Just(own), 1 => Just(net_link_address(7))];
    (
        to,
        from,
        prop::collection::vec(fragment(), 0..NET_FRAGMENTS_MAX),
    )
        .prop_map(|(to, from, fragments)| Sent {
            to,
            from,
            fragments,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let vm = 0..VMS;
    let send = vm.clone().prop_flat_map(|vm| {
        prop::collection::vec(sent(vm), 1..20).prop_map(move |list| Step::Send(vm, list))
    });
    let pages = prop::collection::vec(0..GUEST_PAGES, 0..=NET_PAGES);
    let head = (0..GUEST_BYTES, prop_oneof![0u64..200, 0..GUEST_BYTES]);
    prop_oneof![
        4 => send,
        6 => (vm.clone(), head, pages).prop_map(|(vm, head, pages)| Step::Receive(vm, head, pages)),
        4 => (vm.clone(), 0..GUEST_BYTES - 64, any::<u8>()).prop_map(|(vm, at, value)| Step::Store(vm, at, value)),
        1 => vm.prop_map(Step::Reboot),
    ]
}

/// The model: what waits for each, as bytes.
struct Model {
    waiting: Vec<VecDeque<Vec<u8>>>,
}

impl Model {
    /// Why this message is not taken.
    fn refuses(
        fragments: &[Segment],
        frame: &[u8],
        to: u64,
        from: u64,
        vm: usize,
    ) -> Option<Refused> {
        let inside = |one: &Segment| {
            let end = u128::from(one.address) + u128::from(one.bytes);
            one.bytes == 0 || end <= u128::from(GUEST_BYTES)
        };
        if fragments.len() > NET_FRAGMENTS_MAX {
            Some(Refused::Argument)
        } else if !fragments.iter().all(inside) {
            Some(Refused::Address)
        } else if (frame.len() as u64) < NET_MESSAGE_MIN {
            Some(Refused::TooShort)
        } else if frame.len() as u64 > NET_MESSAGE_MAX {
            Some(Refused::TooLong)
        } else if from != net_link_address(vm as u64) {
            Some(Refused::NotYours)
        } else if to >> 40 & 1 == 0 && !(0..VMS as u64).any(|vm| net_link_address(vm) == to) {
            Some(Refused::NoReceiver)
        } else {
            None
        }
    }

    fn give(&mut self, frame: &[u8], to: u64, from: usize) {
        for (vm, waiting) in self.waiting.iter_mut().enumerate() {
            let own = net_link_address(vm as u64) == to;
            if (own || to >> 40 & 1 == 1 && vm != from) && waiting.len() < QUEUE {
                waiting.push_back(frame.to_vec());
            }
        }
    }
}

/// Sends as `Step::Send` says, headers first; and does the same in the model.
fn send(net: &mut Net<'_>, model: &mut Model, vm: usize, messages: &[Sent]) {
    // Headers at the end of memory, where other fragments may lie, too.
    let place = |index: usize| GUEST_BYTES - 64 * (index as u64 + 1);
    let mut lists = Vec::new();
    for (index, one) in messages.iter().enumerate() {
        net.store(vm, place(index), &header(one.to, one.from));
        let mut fragments = vec![Segment {
            address: place(index),
            bytes: 14,
        }];
        fragments.extend(&one.fragments);
        lists.push((fragments, 0));
    }
    let mut expected = (0, None);
    for ((fragments, _), one) in lists.iter().zip(messages) {
        let mut frame = Vec::new();
        for part in fragments {
            let inside = part
                .address
                .checked_add(part.bytes)
                .is_some_and(|end| end <= GUEST_BYTES);
            if inside && frame.len() < 4 * NET_MESSAGE_MAX as usize {
                frame.extend(net.load(vm, part.address, part.bytes as usize));
            }
        }
        expected.1 = Model::refuses(fragments, &frame, one.to, one.from, vm);
        if expected.1.is_some() {
            break;
        }
        expected.0 += 1;
        model.give(&frame, one.to, vm);
    }
    let empty: u64 = (0..VMS)
        .filter(|&vm| !net.subnet.is_waiting(VmId(vm as u16)))
        .map(|vm| 1 << vm)
        .sum();
    assert_eq!(net.send(vm, &list(&lists)), expected);
    let now: u64 = (0..VMS)
        .filter(|&vm| net.subnet.is_waiting(VmId(vm as u16)))
        .map(|vm| 1 << vm)
        .sum();
    assert_eq!(net.woken, empty & now);
}

fn receive(net: &mut Net<'_>, model: &mut Model, vm: usize, head: (u64, u64), pages: &[u64]) {
    let room = head.1 + pages.len() as u64 * PAGE_SIZE;
    let waiting = &mut model.waiting[vm];
    let fitting = waiting.iter().position(|one| one.len() as u64 <= room);
    match net.receive(vm, &slot(head, pages)) {
        Ok(None) => {
            assert_eq!(fitting, None);
            waiting.clear();
        }
        Ok(Some((bytes, _))) => {
            let fitting = fitting.expect("a message that fits");
            assert!(Some(bytes) == waiting.drain(..=fitting).next_back());
        }
        Err(Refused::Address) => assert!(head.0 + head.1 > GUEST_BYTES),
        Err(refused) => {
            assert_eq!(refused, Refused::Argument);
            let first = pages.iter().any(|&page| {
                let address = page * PAGE_SIZE;
                head.1 > 0 && address < head.0 + head.1 && head.0 < address + PAGE_SIZE
            });
            let twice = (1..pages.len()).any(|at| pages[..at].contains(&pages[at]));
            assert!(first || twice, "{head:x?} {pages:x?}");
        }
    }
}

proptest! {
    #![proptest_config(crate::cases_of_length(4))]
    #[test]
    fn messages_are_what_was_sent(steps in prop::collection::vec(step(), 1..40)) {
        let memory = SimulatedMemory::new(100_000);
        let mut net = Net::new(&memory, VMS, QUEUE);
        let mut model = Model { waiting: vec![VecDeque::new(); VMS] };
        for step in steps {
            match step {
                Step::Send(vm, messages) => send(&mut net, &mut model, vm, &messages),
                Step::Receive(vm, head, pages) => receive(&mut net, &mut model, vm, head, &pages),
                Step::Store(vm, at, value) => net.store(vm, at, &[value; 64]),
                Step::Reboot(vm) => {
                    net.reboot(vm);
                    model.waiting[vm].clear();
                }
            }
        }
        for vm in 0..VMS {
            while let Some(expected) = model.waiting[vm].pop_front() {
                let place = slot((0, 60), &[10, 11, 12, 13, 14, 15, 16, 17]);
                let (bytes, _) = net.receive(vm, &place).unwrap().unwrap();
                prop_assert!(bytes == expected);
            }
        }
        net.end();
    }

    #[test]
    fn any_bytes_are_a_list(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let memory = SimulatedMemory::new(1000);
        let mut net = Net::new(&memory, 1, 8);
        net.send(0, &bytes);
        let _ = net.receive(0, &bytes);
        net.end();
    }

    /// As `any_bytes_are_a_list`, with numbers that are often right.
    #[test]
    fn any_words_are_a_list(words in prop::collection::vec(prop_oneof![0u64..30, 0..GUEST_BYTES, any::<u64>()], 0..64)) {
        let memory = SimulatedMemory::new(1000);
        let mut net = Net::new(&memory, 1, 8);
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_be_bytes).collect();
        net.send(0, &bytes);
        let _ = net.receive(0, &bytes);
        net.end();
    }
}
