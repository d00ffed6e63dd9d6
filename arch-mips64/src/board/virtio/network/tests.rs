use super::super::simulation::{load, shared, store, DeviceQueue, Wire};
use super::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

struct Machine {
    card: Card<Wire>,
    wire: Wire,
    receive: DeviceQueue,
    send: DeviceQueue,
}

fn machine() -> Machine {
    let wire = Wire::default();
    let mut card = Card::new(wire.clone(), shared());
    let receive = DeviceQueue::new(card.receive.addresses(), QUEUE);
    let send = DeviceQueue::new(card.send.addresses(), QUEUE);
    card.start();
    Machine {
        card,
        wire,
        receive,
        send,
    }
}

impl Machine {
    /// A frame comes; whether the card had a buffer for it.
    fn come(&mut self, frame: &[u8]) -> bool {
        let Some(chain) = self.receive.next() else {
            return false;
        };
        let [buffer] = chain.buffers[..] else {
            panic!("a frame in several buffers");
        };
        assert!(buffer.device_writes && buffer.bytes >= 1526);
        store(buffer.address, &[0; 12]);
        store(buffer.address + 12, frame);
        self.receive.end(chain.head.into(), 12 + frame.len() as u32);
        true
    }

    /// A frame goes.
    fn go(&mut self) -> Option<Vec<u8>> {
        let chain = self.send.next()?;
        let [buffer] = chain.buffers[..] else {
            panic!("a frame in several buffers");
        };
        assert!(!buffer.device_writes);
        let bytes = load(buffer.address, buffer.bytes as usize);
        assert_eq!(bytes[..12], [0; 12]);
        self.send.end(chain.head.into(), 0);
        Some(bytes[12..].to_vec())
    }

    fn received(&mut self) -> Option<Vec<u8>> {
        let mut frame = [0xee; FRAME_MAX];
        let length = self.card.receive(&mut frame)?;
        Some(frame[..length].to_vec())
    }
}

proptest! {
    #[test]
    fn frames_go_and_come_as_they_are(frames in prop::collection::vec((any::<u8>(), 1..=FRAME_MAX, any::<bool>(), any::<bool>()), 1..200)) {
        let mut machine = machine();
        let mut coming = Vec::new();
        for (first, length, comes, rest) in frames {
            let frame: Vec<u8> = (0..length).map(|at| first.wrapping_add(at as u8)).collect();
            if comes {
                let room = coming.len() < QUEUE;
                prop_assert_eq!(machine.come(&frame), room);
                if room {
                    coming.push(frame);
                }
            } else {
                prop_assert_eq!(machine.card.send(&frame), Ok(()));
                prop_assert_eq!(machine.go(), Some(frame));
            }
            if rest {
                for frame in coming.drain(..) {
                    prop_assert_eq!(machine.received(), Some(frame));
                }
                prop_assert_eq!(machine.received(), None);
            }
        }
    }
}

#[test]
fn a_card_that_sends_nothing_fills_up_and_goes_on() {
    let mut machine = machine();
    for round in 0..3 {
        for _ in 0..QUEUE {
            assert_eq!(machine.card.send(&[round; 60]), Ok(()));
        }
        assert_eq!(machine.card.send(&[9; 60]), Err(Full));
        for _ in 0..QUEUE {
            assert_eq!(machine.go(), Some(vec![round; 60]));
        }
    }
    assert_eq!(machine.card.send(&[0; FRAME_MAX + 1]), Err(Full));
}

#[test]
fn the_device_is_told_of_new_buffers() {
    let mut machine = machine();
    assert_eq!(machine.wire.notices.take(), [RECEIVE]);
    while machine.come(&[1; 60]) {}
    assert!(std::iter::from_fn(|| machine.received()).count() == QUEUE);
    assert_eq!(machine.wire.notices.take(), [RECEIVE]);
    assert_eq!(machine.received(), None);
    assert_eq!(machine.wire.notices.take(), []);
    assert!(machine.come(&[1; 60]));
}

#[test]
fn what_is_no_frame_is_counted_and_its_buffer_used_again() {
    let mut machine = machine();
    for round in 1..=3 * QUEUE as u64 {
        let chain = machine.receive.next().unwrap();
        let written = [0, 5, 12, 12 + FRAME_MAX as u32 + 1, u32::MAX][round as usize % 5];
        machine.receive.end(chain.head.into(), written);
        assert_eq!(machine.received(), None);
        assert_eq!(machine.card.bad_frames(), round);
    }
    assert!(machine.come(b"a frame") && machine.received().is_some());
    assert!(!machine.card.has_failed());
}

#[test]
fn a_device_that_breaks_the_rules_is_switched_off() {
    for queue in [RECEIVE, SEND] {
        let mut machine = machine();
        assert_eq!(machine.card.send(&[1; 60]), Ok(()));
        if queue == RECEIVE {
            machine.receive.end(500, 20);
        } else {
            machine.send.set_used(77);
        }
        assert_eq!(machine.received(), None);
        let _ = machine.card.send(&[1; 60]);
        assert!(machine.card.has_failed() && machine.wire.off.get());
        assert_eq!(machine.card.send(&[1; 60]), Err(Full));
        assert_eq!(machine.received(), None);
    }
}
