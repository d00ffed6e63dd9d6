use super::super::simulation::{shared, Chain, DeviceQueue};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec::Vec;

const N: usize = 8;

fn pair() -> (Queue<N>, DeviceQueue) {
    let queue = Queue::new(shared::<Rings<N>>());
    let device = DeviceQueue::new(queue.addresses(), N);
    (queue, device)
}

fn buffer(number: u64) -> Buffer {
    Buffer {
        address: number << 12,
        bytes: number as u32 + 1,
        device_writes: number % 2 == 1,
    }
}

fn pass(queue: &mut Queue<N>, count: usize) -> bool {
    queue.pass(
        &mut (0..count as u64)
            .map(buffer)
            .collect::<Vec<_>>()
            .into_iter(),
    )
}

proptest! {
    /// The driver passes chains, the device ends them in any order; each comes back once, with what
    /// the device wrote, and room is what is not under way.
    #[test]
    fn chains_come_back_once(steps in prop::collection::vec((any::<bool>(), 1..=N + 1, any::<u32>()), 1..200)) {
        let (mut queue, mut device) = pair();
        let mut at_device: Vec<Chain> = Vec::new();
        let mut ended = BTreeMap::new();
        let mut room = N;
        for (driver, count, choice) in steps {
            if driver {
                let head = queue.next_head(count);
                prop_assert_eq!(head.is_some(), count <= room);
                prop_assert_eq!(pass(&mut queue, count), count <= room);
                if let Some(head) = head {
                    room -= count;
                    let chain = device.next().unwrap();
                    prop_assert_eq!(chain.head, head);
                    let expected: Vec<_> = (0..count as u64).map(buffer).collect();
                    prop_assert_eq!(&chain.buffers, &expected);
                    at_device.push(chain);
                }
                prop_assert_eq!(device.next(), None);
            } else if !at_device.is_empty() {
                let chain = at_device.swap_remove(choice as usize % at_device.len());
                device.end(chain.head.into(), choice);
                ended.insert(chain.head, (choice, chain.buffers.len()));
            } else if ended.is_empty() {
                prop_assert_eq!(queue.take(), Ok(None));
            }
            if choice % 3 == 0 {
                while let Some((head, written)) = queue.take().unwrap() {
                    let (expected, count) = ended.remove(&head).unwrap();
                    prop_assert_eq!(written, expected);
                    room += count;
                }
                prop_assert!(ended.is_empty());
            }
        }
    }

    /// Whatever a device writes into its ring: an error at most, and never a chain that is not
    /// under way.
    #[test]
    fn nonsense_is_seen(passed in 0..N, claims in prop::collection::vec((0u32..12, any::<u32>()), 0..12), index: u16) {
        let (mut queue, mut device) = pair();
        for _ in 0..passed {
            prop_assert!(pass(&mut queue, 1));
        }
        let mut under_way: Vec<u16> = (0..passed as u16).collect();
        for (head, written) in claims {
            device.end(head, written);
        }
        if index % 2 == 0 {
            device.set_used(index);
        }
        for _ in 0..2 * N {
            match queue.take() {
                Ok(Some((head, _))) => {
                    let place = under_way.iter().position(|known| *known == head);
                    under_way.remove(place.unwrap());
                }
                Ok(None) | Err(Broken) => break,
            }
        }
    }
}

#[test]
fn indices_wrap() {
    let (mut queue, mut device) = pair();
    for round in 0..70_000u32 {
        assert!(pass(&mut queue, 3));
        let chain = device.next().unwrap();
        device.end(chain.head.into(), round);
        assert_eq!(queue.take(), Ok(Some((chain.head, round))));
        assert_eq!(queue.take(), Ok(None));
    }
}

#[test]
fn a_chain_does_not_end_twice() {
    let (mut queue, mut device) = pair();
    assert!(pass(&mut queue, 1) && pass(&mut queue, 2));
    let head = device.next().unwrap().head.into();
    device.end(head, 0);
    device.end(head, 0);
    assert!(matches!(queue.take(), Ok(Some(_))));
    assert_eq!(queue.take(), Err(Broken));
}

#[test]
fn more_than_was_passed_does_not_end() {
    let (mut queue, mut device) = pair();
    assert!(pass(&mut queue, 1));
    device.set_used(2);
    assert_eq!(queue.take(), Err(Broken));
}

#[test]
fn a_device_need_not_interrupt() {
    let (queue, _) = pair();
    queue.without_interrupts();
    let flags = super::super::simulation::load(queue.addresses().available, 2);
    assert_eq!(flags, [1, 0]);
}
