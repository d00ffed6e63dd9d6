use super::super::simulation::{load, shared, store, Chain, DeviceQueue, Wire};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

const SECTORS: u64 = 64;

struct Machine {
    disk: Disk<Wire>,
    wire: Wire,
    device: DeviceQueue,
    contents: Vec<u8>,
}

/// Memory for data.
struct Memory(&'static [AtomicU64; 4096]);

impl Memory {
    fn piece(&self, sector: usize, sectors: u32) -> (u64, u32) {
        (bus_address(self.0) + 512 * sector as u64, 512 * sectors)
    }
}

fn machine() -> Machine {
    let wire = Wire::default();
    let disk = Disk::new(wire.clone(), shared(), SECTORS);
    let device = DeviceQueue::new(disk.queue.addresses(), QUEUE);
    Machine {
        disk,
        wire,
        device,
        contents: vec![0; 512 * SECTORS as usize],
    }
}

impl Machine {
    fn submit(
        &mut self,
        operation: Operation,
        sector: u64,
        pieces: &[(u64, u32)],
        token: u32,
    ) -> bool {
        let mut pieces = pieces.iter().copied();
        self.disk
            .submit(operation, sector, &mut pieces, token)
            .is_ok()
    }

    /// What a disk does with a request; its status.
    fn execute(&mut self, chain: &Chain) -> (u8, u32) {
        let [head, data @ .., status] = &chain.buffers[..] else {
            panic!("a request of fewer than two buffers");
        };
        assert_eq!((head.bytes, head.device_writes), (16, false));
        assert_eq!((status.bytes, status.device_writes), (1, true));
        let head = load(head.address, 16);
        let operation = u32::from_le_bytes(head[..4].try_into().unwrap());
        let sector = u64::from_le_bytes(head[8..].try_into().unwrap());
        let mut at = sector as usize * 512;
        let bytes: usize = data.iter().map(|buffer| buffer.bytes as usize).sum();
        let written = 1 + if operation == 0 { bytes as u32 } else { 0 };
        let result = u8::from(at + bytes > self.contents.len());
        for buffer in data {
            assert_eq!(buffer.device_writes, operation == 0);
            let range = at..at + buffer.bytes as usize;
            at = range.end;
            if result != 0 {
                continue;
            }
            if operation == 0 {
                store(buffer.address, &self.contents[range]);
            } else {
                let bytes = load(buffer.address, range.len());
                self.contents[range].copy_from_slice(&bytes);
            }
        }
        assert!(operation != 4 || data.is_empty());
        store(status.address, &[result]);
        (result, written)
    }

    /// Executes all that is asked; ends it in an order that `choice` makes.
    fn work(&mut self, mut choice: usize) {
        let mut ready = Vec::new();
        while let Some(chain) = self.device.next() {
            let (_, written) = self.execute(&chain);
            ready.push((chain.head, written));
        }
        while !ready.is_empty() {
            let (head, written) = ready.swap_remove(choice % ready.len());
            choice /= 3;
            self.device.end(head.into(), written);
        }
    }
}

proptest! {
    #[test]
    fn reads_see_writes(steps in prop::collection::vec((any::<bool>(), 0..SECTORS + 4, 1u32..4, any::<u8>(), any::<bool>()), 1..60)) {
        let memory = Memory(shared());
        let mut machine = machine();
        let mut model = vec![0; machine.contents.len()];
        let mut expected = BTreeMap::new();
        for (token, (write, sector, sectors, byte, rest)) in steps.into_iter().enumerate() {
            // Two pieces, the second one of a sector.
            let place = 8 * (token % 8);
            let pieces = [memory.piece(place, sectors), memory.piece(place + 5, 1)];
            let range = sector as usize * 512..(sector as usize + sectors as usize + 1) * 512;
            let inside = range.end <= model.len();
            if write {
                for (address, bytes) in pieces {
                    store(address, &vec![byte; bytes as usize]);
                }
                if inside {
                    model[range.clone()].fill(byte);
                }
            }
            let operation = if write { Operation::Write } else { Operation::Read };
            prop_assert!(machine.submit(operation, sector, &pieces, token as u32));
            expected.insert(token as u32, inside);
            // One request after the other, so that the model is right; ended together.
            while let Some(chain) = machine.device.next() {
                let (_, written) = machine.execute(&chain);
                machine.device.end(chain.head.into(), written);
            }
            if !write && inside {
                let read: Vec<u8> = pieces.iter().flat_map(|&(address, bytes)| load(address, bytes as usize)).collect();
                prop_assert!(read == model[range]);
            }
            if rest {
                while let Some((token, result)) = machine.disk.completed() {
                    prop_assert_eq!(expected.remove(&token), Some(result.is_ok()));
                }
                prop_assert!(expected.is_empty());
            }
        }
        prop_assert!(!machine.wire.off.get());
    }
}

#[test]
fn many_requests_end_in_any_order_and_the_queue_fills() {
    let memory = Memory(shared());
    let mut machine = machine();
    let mut passed = 0;
    while machine.submit(Operation::Read, 1, &[memory.piece(0, 1)], passed) {
        passed += 1;
    }
    assert_eq!(passed as usize, QUEUE / 3);
    machine.work(12_345);
    let mut tokens: Vec<u32> = std::iter::from_fn(|| machine.disk.completed())
        .map(|(token, result)| {
            assert_eq!(result, Ok(()));
            token
        })
        .collect();
    assert!(!tokens.is_sorted());
    tokens.sort_unstable();
    assert!(tokens.into_iter().eq(0..passed));
    assert!(machine.submit(Operation::Flush, 0, &[], 7));
    machine.work(0);
    assert_eq!(machine.disk.completed(), Some((7, Ok(()))));
    assert_eq!(machine.disk.completed(), None);
}

#[test]
fn the_most_pieces_fit() {
    let memory = Memory(shared());
    let mut machine = machine();
    let pieces = [memory.piece(0, 1); PIECES_MAX];
    assert!(machine.submit(Operation::Write, 0, &pieces, 1));
    assert!(!machine.submit(Operation::Flush, 0, &[], 2));
}

/// Every request ends with an error, also later ones, when the device does `mischief` with the first.
fn ends_in_failure(mischief: impl FnOnce(&mut DeviceQueue, u16, u32)) {
    let memory = Memory(shared());
    let mut machine = machine();
    for token in 0..5 {
        assert!(machine.submit(Operation::Read, token.into(), &[memory.piece(0, 1)], token));
    }
    let chain = machine.device.next().unwrap();
    let (_, written) = machine.execute(&chain);
    mischief(&mut machine.device, chain.head, written);
    let mut ended: Vec<_> = std::iter::from_fn(|| machine.disk.completed()).collect();
    ended.sort_by_key(|(token, _)| *token);
    ended.retain(|(_, result)| result.is_err());
    assert!(machine.wire.off.get() && machine.disk.has_failed());
    assert!(ended.len() >= 4, "{ended:?}");
    // As many as there is room for, again and again, and the device hears of none.
    for _ in 0..3 {
        let mut passed = 0;
        while machine.submit(Operation::Write, 0, &[memory.piece(0, 1)], passed) {
            passed += 1;
        }
        assert_eq!(passed as usize, QUEUE);
        let ended = std::iter::from_fn(|| machine.disk.completed());
        assert_eq!(ended.filter(|(_, result)| result.is_err()).count(), QUEUE);
    }
}

#[test]
fn a_device_that_breaks_the_rules_is_switched_off() {
    ends_in_failure(|device, head, written| device.end(head.into(), written + 1));
    ends_in_failure(|device, _, written| device.end(200, written));
    ends_in_failure(|device, _, written| device.end(70_000, written));
    ends_in_failure(|device, _, _| device.set_used(100));
    ends_in_failure(|device, _, _| device.set_used(u16::MAX));
    ends_in_failure(|device, head, written| {
        device.end(head.into(), written);
        device.end(head.into(), written);
    });
}

#[test]
fn too_few_bytes_and_a_status_that_was_not_written_are_errors_of_the_request() {
    let memory = Memory(shared());
    let mut machine = machine();
    assert!(machine.submit(Operation::Read, 0, &[memory.piece(0, 2)], 1));
    let chain = machine.device.next().unwrap();
    let (_, written) = machine.execute(&chain);
    machine.device.end(chain.head.into(), written - 512);
    assert_eq!(machine.disk.completed(), Some((1, Err(Failed))));
    assert!(machine.submit(Operation::Write, 0, &[memory.piece(0, 2)], 2));
    let chain = machine.device.next().unwrap();
    machine.device.end(chain.head.into(), 1);
    assert_eq!(machine.disk.completed(), Some((2, Err(Failed))));
    assert!(!machine.disk.has_failed());
}
