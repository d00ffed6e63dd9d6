use super::*;
use core::cell::RefCell;

/// A function with base address registers of some sizes, and whatever else is written.
struct Fake {
    words: RefCell<[u32; 64]>,
    writable: [u32; BARS],
}

impl ConfigSpace for Fake {
    fn read(&self, register: u32) -> u32 {
        self.words.borrow()[register as usize / 4]
    }

    fn write(&self, register: u32, value: u32) {
        let word = &mut self.words.borrow_mut()[register as usize / 4];
        *word = match register {
            COMMAND => *word & 0xffff_0000 | value & 0xffff,
            BAR.. if register < BAR + 24 => {
                let mask = self.writable[(register - BAR) as usize / 4];
                value & mask | *word & !mask
            }
            _ => value,
        };
    }
}

fn fake(writable: [u32; BARS], flags: [u32; BARS]) -> Fake {
    let mut words = [0; 64];
    words[BAR as usize / 4..][..BARS].copy_from_slice(&flags);
    words[COMMAND as usize / 4] = NO_INTERRUPT | IO;
    Fake {
        words: RefCell::new(words),
        writable,
    }
}

#[test]
fn windows_are_aligned_and_do_not_overlap() {
    let function = fake(
        [!0x1f, !0xfff, 0, 0, !0x3fff, u32::MAX],
        [BAR_IO, 0, 0, 0, BAR_64 | 8, 0xdead_beef],
    );
    let mut free = FreeMemory::new((0x1000_0000, 0x10_0000));
    let windows = switch_on(&function, &mut free).unwrap();
    let window = |address, bytes| Some(Window { address, bytes });
    assert_eq!(
        windows,
        [
            None,
            window(0x1000_0000, 0x1000),
            None,
            None,
            window(0x1000_4000, 0x4000),
            None
        ]
    );
    assert_eq!(function.read(BAR + 16), 0x1000_4000 | BAR_64 | 8);
    assert_eq!(function.read(BAR + 20), 0);
    assert_eq!(function.read(COMMAND) & 0xffff, MEMORY | MASTER);
    switch_off(&function);
    assert_eq!(function.read(COMMAND) & 0xffff, MEMORY | NO_INTERRUPT);
}

#[test]
fn too_large_a_window_leaves_the_function_off() {
    let function = fake([0, 0, 0xffe0_0000, 0, 0, 0], [0; BARS]);
    let mut free = FreeMemory::new((0x1000_0000, 0x10_0000));
    assert_eq!(switch_on(&function, &mut free), None);
    assert_eq!(function.read(COMMAND) & (MEMORY | MASTER), 0);
}

#[test]
fn a_bridge_is_left_alone() {
    let function = fake([0; BARS], [0; BARS]);
    function.write(HEADER, 1 << 16);
    let mut free = FreeMemory::new((0x1000_0000, 0x10_0000));
    assert_eq!(switch_on(&function, &mut free), None);
}

#[test]
fn capabilities_are_found_and_a_ring_of_them_ends() {
    let function = fake([0; BARS], [0; BARS]);
    function.words.borrow_mut()[COMMAND as usize / 4] = HAS_CAPABILITIES;
    function.write(CAPABILITIES, 0x40);
    function.write(0x40, 0x5009);
    function.write(0x50, 0x6011);
    function.write(0x60, 0x0009);
    assert!(capabilities(&function, 9).eq([0x40, 0x60]));
    function.write(0x60, 0x4009);
    assert_eq!(capabilities(&function, 9).count(), 32);
    function.words.borrow_mut()[COMMAND as usize / 4] = 0;
    assert_eq!(capabilities(&function, 9).count(), 0);
}
