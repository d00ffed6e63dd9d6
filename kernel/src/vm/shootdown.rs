//! Shootdown: a virtual CPU takes translations out of the TLBs of its siblings.
//!
//! A virtual CPU's TLBs belong to its home CPU; nobody else reaches in. Others ask, and wait until
//! the sibling cannot use an old translation any more: it has done what they asked, or it is not
//! in its guest and will do so before it is again.
//!
//! Who asks: queues the request, sets `asked`, looks at `in_guest`. The home, before its guest
//! goes on: sets `in_guest`, looks at `asked`. Each sets its word before it looks at the other's, so
//! at least one sees the other: the home does what was asked, or the asker interrupts the home
//! and waits. Nobody waits for a CPU that is in the monitor, so two that ask each other do not
//! wait for ever; and an interrupt brings any CPU out of its guest.

use super::hardware::Hardware;
use super::mapping::linear_offset;
use super::revoke::PageSet;
use super::vcpu::Vcpu;
use super::vtlb::{TlbEntry, ASID_MASK, EHINV, TLB_ENTRIES, VPN2_MASK};
use core::sync::atomic::{fence, AtomicBool, Ordering};
use disco_abi::{SHOOTDOWN_ALL, SHOOTDOWN_ASID};
use disco_arch::lock::Mutex;

/// Requests that are kept apart; with more the virtual CPU forgets everything.
const REQUESTS: usize = 4;

/// What a virtual CPU is to forget for a sibling's sake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Guest-virtual address in bits 63..13, ASID in bits 9..0, as in EntryHi.
    pub key: u64,
    /// Bytes from that address on, or [`SHOOTDOWN_ASID`] or [`SHOOTDOWN_ALL`].
    pub bytes: u64,
}

/// Page pairs that are looked up one by one; with more the whole table is gone through.
const PAIRS: u64 = 16;

impl Vcpu<'_> {
    /// Forgets what `request` names, in every TLB. The linear windows stay.
    pub fn shoot_down(&mut self, request: Request, hardware: &mut impl Hardware) {
        match request.bytes {
            SHOOTDOWN_ALL => self.flush_all(hardware),
            SHOOTDOWN_ASID => self.invalidate_asid(request.key & ASID_MASK, hardware),
            bytes => self.flush_range(request.key, bytes, hardware),
        }
    }

    fn flush_range(&mut self, key: u64, bytes: u64, hardware: &mut impl Hardware) {
        let (start, asid) = (key & VPN2_MASK, key & ASID_MASK);
        let end = start.saturating_add(bytes);
        let range = |entry: &TlbEntry| {
            let first = entry.hi & VPN2_MASK & !entry.pair_mask();
            first < end && start <= first | entry.pair_mask()
        };
        for index in 0..TLB_ENTRIES as u32 {
            let entry = self.tlb.entry(index);
            let same = entry.is_global() || (entry.hi ^ asid) & ASID_MASK == 0;
            if entry.hi & EHINV == 0 && same && range(&entry) {
                self.tlb.write(index, TlbEntry::INVALID);
                self.forget(&entry, hardware);
            }
        }
        let pair_mask = self.l2.granule().pair_mask();
        let first = start & !pair_mask;
        if (end - first) / (pair_mask + 1) < PAIRS {
            for pair in (first..end).step_by(pair_mask as usize + 1) {
                if linear_offset(pair).is_none() {
                    self.l2.remove(pair, asid);
                    hardware.tlb_remove(pair | asid);
                }
            }
            return;
        }
        self.l2.remove_where(
            |tag, _| {
                let page = tag & !ASID_MASK;
                first <= page
                    && page < end
                    && linear_offset(page).is_none()
                    && (super::l2tlb::is_kernel_address(tag) || (tag ^ asid) & ASID_MASK == 0)
            },
            |_| (),
        );
        hardware.tlb_flush();
    }
}

/// Requests that wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Requests {
    requests: [Request; REQUESTS],
    count: usize,
    /// Guest pages for [`Vcpu::revoke`].
    pages: PageSet,
}

impl Requests {
    const NONE: Self = Self {
        requests: [Request { key: 0, bytes: 0 }; REQUESTS],
        count: 0,
        pages: PageSet::EMPTY,
    };

    fn push(&mut self, request: Request) {
        if self.count == REQUESTS {
            self.count = 1;
            self.requests[0] = Request {
                key: 0,
                bytes: SHOOTDOWN_ALL,
            };
        } else {
            self.requests[self.count] = request;
            self.count += 1;
        }
    }

    fn clear(&mut self) {
        self.count = 0;
        self.pages.clear();
    }

    /// The guest pages to revoke.
    pub const fn pages(&self) -> &PageSet {
        &self.pages
    }

    /// The other requests, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Request> + '_ {
        self.requests[..self.count].iter().copied()
    }
}

/// Where the siblings of a virtual CPU ask it to forget translations.
#[derive(Debug)]
pub struct ShootdownBox {
    /// Its CPU runs the guest, or is about to. Written by its home.
    in_guest: AtomicBool,
    /// Something waits in `requests`. Written under their lock.
    asked: AtomicBool,
    /// Innermost: held to put one in, or to take them all out.
    requests: Mutex<Requests>,
}

impl ShootdownBox {
    /// Of a virtual CPU that is not in its guest.
    pub const fn new() -> Self {
        Self {
            in_guest: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            requests: Mutex::new(Requests::NONE),
        }
    }

    /// Asks for `request`; whether the caller has to interrupt the home and wait for
    /// [`ShootdownBox::is_done`].
    #[must_use = "a virtual CPU in its guest does not look by itself"]
    pub fn ask(&self, request: Request) -> bool {
        self.ask_with(|requests| requests.push(request))
    }

    /// Asks for guest pages to be revoked, like [`ShootdownBox::ask`]. Their EntryLo in the pmap has
    /// been changed before.
    #[must_use = "a virtual CPU in its guest does not look by itself"]
    pub fn ask_pages(&self, pages: &PageSet) -> bool {
        self.ask_with(|requests| requests.pages.add_all(pages))
    }

    fn ask_with(&self, add: impl FnOnce(&mut Requests)) -> bool {
        let mut requests = self.requests.lock();
        add(&mut requests);
        self.asked.store(true, Ordering::Relaxed);
        drop(requests);
        fence(Ordering::SeqCst);
        self.in_guest.load(Ordering::Relaxed)
    }

    /// Whether no request waits for a guest that goes on meanwhile.
    pub fn is_done(&self) -> bool {
        !self.asked.load(Ordering::Acquire) || !self.in_guest.load(Ordering::Acquire)
    }

    /// Whether something waits to be done.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// The home: the guest is about to go on; whether requests wait, which have to be done before.
    pub fn enter(&self) -> bool {
        self.in_guest.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.asked.load(Ordering::Relaxed)
    }

    /// The home: the guest has trapped.
    pub fn leave(&self) {
        self.in_guest.store(false, Ordering::Release);
    }

    /// The home: takes what waits, to do it now.
    pub fn take(&self) -> Requests {
        let mut requests = self.requests.lock();
        self.asked.store(false, Ordering::Release);
        let taken = *requests;
        requests.clear();
        taken
    }
}

impl Default for ShootdownBox {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU64;

    const fn request(key: u64) -> Request {
        Request { key, bytes: 1 }
    }

    #[test]
    fn one_that_is_not_in_its_guest_is_not_waited_for() {
        let shootdown = ShootdownBox::new();
        assert!(!shootdown.ask(request(1)));
        assert!(shootdown.is_done());
        assert!(shootdown.enter());
        assert!(shootdown.take().iter().eq([request(1)]));
        assert!(!shootdown.enter());
        assert!(shootdown.ask(request(2)));
        assert!(!shootdown.is_done());
        shootdown.leave();
        assert!(shootdown.is_done());
        assert!(shootdown.take().iter().eq([request(2)]));
    }

    #[test]
    fn too_many_are_everything() {
        let shootdown = ShootdownBox::new();
        for key in 0..=REQUESTS as u64 {
            assert!(!shootdown.ask(request(key)));
        }
        let all = Request {
            key: 0,
            bytes: SHOOTDOWN_ALL,
        };
        assert!(shootdown.take().iter().eq([all]));
        assert!(shootdown.take().iter().eq([]));
    }

    /// A mapping is withdrawn over and over while another thread, in and out of its guest, uses
    /// the copy it has: no use may come after the withdrawal was confirmed.
    #[test]
    fn nobody_uses_what_was_withdrawn() {
        const ROUNDS: u64 = 20_000;
        let shootdown = ShootdownBox::new();
        let (withdrawn, interrupt) = (AtomicU64::new(0), AtomicBool::new(false));
        // What a copy is made of that was forgotten together with all others.
        let mapped = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut copy = 0;
                loop {
                    if shootdown.enter() {
                        for request in shootdown.take().iter() {
                            copy = match request.bytes {
                                SHOOTDOWN_ALL => mapped.load(Ordering::Acquire),
                                _ => copy.max(request.key),
                            };
                        }
                    }
                    while !interrupt.swap(false, Ordering::AcqRel) {
                        let least = withdrawn.load(Ordering::Acquire);
                        assert!(copy >= least, "{copy} is used after {least} was withdrawn");
                        if copy == ROUNDS {
                            shootdown.leave();
                            return;
                        }
                        if least % 3 == 0 {
                            break;
                        }
                    }
                    shootdown.leave();
                }
            });
            for round in 1..=ROUNDS {
                mapped.store(round, Ordering::Release);
                let wait = shootdown.ask(Request {
                    key: round,
                    bytes: 1,
                });
                if wait {
                    interrupt.store(true, Ordering::Release);
                    while !shootdown.is_done() {
                        std::hint::spin_loop();
                    }
                }
                withdrawn.store(round, Ordering::Release);
            }
        });
    }
}
