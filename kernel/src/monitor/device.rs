//! The real disk and the real network card: found at boot, served on CPU 0, used from any.
//!
//! A device that interrupts has put something into its queues; CPU 0 reads its interrupt register, so
//! that it asks no longer, and then has its queues looked at until they are empty. What it puts there
//! afterwards makes it ask again.

use super::cpu::Cpu;
use super::{Carver, Monitor, CONSOLE};
use crate::clock::count_hz;
use crate::console::command::Format;
use crate::console::report::DeviceRow;
use crate::disk::device::{BlockDevice, DeviceError, DeviceFull, Piece, Transfer, PIECES_MAX};
use crate::events::Event;
use crate::machine::NodeId;
use crate::net::link::{Frame, Link, LinkFull};
use core::fmt::Display;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use disco_abi::SECTOR;
use disco_arch::board::pci::{self, FreeMemory, Function};
use disco_arch::board::virtio::block::{self, Operation};
use disco_arch::board::virtio::network;
use disco_arch::board::virtio::transport::{Interrupt, Kind, Transport};
use disco_arch::board::virtio::Unusable;
use disco_arch::board::{interrupts, PCI_MEMORY};
use disco_arch::lock::Mutex;

const _: () = assert!(size_of::<Frame>() == network::FRAME_MAX);

/// So many interrupts that no device admits are too many.
const UNCLAIMED_MAX: u32 = 10_000;
/// How often somebody looks whether the disk answers, in seconds.
const LOOK_EVERY: u64 = 5;

/// A device that interrupts, and its driver.
pub struct Real<D> {
    /// Where it is.
    pub function: Function,
    interrupt: Interrupt,
    /// Taken after whatever it is used for is locked.
    pub driver: Mutex<D>,
    /// That it was switched off has been said.
    told: AtomicBool,
}

impl<D> Real<D> {
    const fn new(function: Function, interrupt: Interrupt, driver: D) -> Self {
        Self {
            function,
            interrupt,
            driver: Mutex::new(driver),
            told: AtomicBool::new(false),
        }
    }

    /// Whether it was switched off since this was asked the last time.
    fn has_failed(&self, failed: impl FnOnce(&D) -> bool) -> bool {
        failed(&self.driver.lock()) && !self.told.swap(true, Ordering::Relaxed)
    }
}

/// The real disk.
pub struct RealDisk {
    disk: block::Disk<Transport>,
    /// Transfers ever begun.
    pub transfers: u64,
    /// Those of them that failed.
    pub errors: u64,
}

/// The real network card.
pub struct RealCard {
    card: network::Card<Transport>,
    /// Frames ever sent.
    pub sent: u64,
    /// Frames ever received.
    pub received: u64,
}

/// What the machine has. Constant after boot but for the drivers.
pub struct Devices {
    /// The first disk on the bus.
    pub disk: Option<&'static Real<RealDisk>>,
    /// The first network card on the bus.
    pub card: Option<&'static Real<RealCard>>,
    /// Interrupts one after the other that none of them had asked for. CPU 0's.
    unclaimed: AtomicU32,
    /// When somebody looks whether the disk answers, in ticks. CPU 0's.
    look_due: AtomicU64,
}

/// Frames taken from the card before others have their turn.
const FRAMES_MAX: usize = 64;

/// A device that will not interrupt wants to be looked at.
static ATTENTION: AtomicBool = AtomicBool::new(false);

impl Devices {
    /// Looks for devices and brings them up, on CPU 0 while no other runs.
    #[link_section = ".init.text"]
    #[inline(never)]
    pub(super) fn find(carver: &mut Carver) -> Self {
        let mut free = FreeMemory::new(PCI_MEMORY);
        let mut devices = Self {
            disk: None,
            card: None,
            unclaimed: AtomicU32::new(0),
            look_due: AtomicU64::new(0),
        };
        for function in pci::scan() {
            let (kind, problem) = match Kind::of(&function) {
                Some(Kind::Block) if devices.disk.is_none() => {
                    let disk = find_disk(function, &mut free, carver);
                    ("disk", disk.map(|disk| devices.disk = Some(disk)))
                }
                Some(Kind::Network) if devices.card.is_none() => {
                    let card = find_card(function, &mut free, carver);
                    ("network card", card.map(|card| devices.card = Some(card)))
                }
                _ => continue,
            };
            if let Err(problem) = problem {
                notice(&format_args!(
                    "the {kind} in PCI slot {} cannot be used: {problem}",
                    function.device
                ));
            }
        }
        if devices.disk.is_some() || devices.card.is_some() {
            interrupts::open_pci();
        }
        devices
    }
}

#[cold]
#[inline(never)]
fn notice(text: &dyn Display) {
    CONSOLE.lock().notice(format_args!("{text}"));
}

#[link_section = ".init.text"]
fn find_disk(
    function: Function,
    free: &mut FreeMemory,
    carver: &mut Carver,
) -> Result<&'static Real<RealDisk>, Unusable> {
    let shared = carver.take::<block::Shared>(0, 1);
    // SAFETY: room for one, zeroed, which is a valid one; nobody else's.
    let shared = unsafe { &*shared };
    let disk = block::Disk::open(function, free, shared, PIECES_MAX)?;
    let interrupt = disk.transport().interrupt();
    let driver = RealDisk {
        disk,
        transfers: 0,
        errors: 0,
    };
    Ok(carver.place(0, Real::new(function, interrupt, driver)))
}

#[link_section = ".init.text"]
fn find_card(
    function: Function,
    free: &mut FreeMemory,
    carver: &mut Carver,
) -> Result<&'static Real<RealCard>, Unusable> {
    let shared = carver.take::<network::Shared>(0, 1);
    // SAFETY: room for one, zeroed, which is a valid one; nobody else's.
    let shared = unsafe { &*shared };
    let card = network::Card::open(function, free, shared)?;
    let interrupt = card.transport().interrupt();
    let driver = RealCard {
        card,
        sent: 0,
        received: 0,
    };
    Ok(carver.place(0, Real::new(function, interrupt, driver)))
}

/// Has CPU 0 look at the devices though none interrupts.
pub(super) fn want_attention() {
    ATTENTION.store(true, Ordering::Release);
    interrupts::send_ipi(0);
}

/// Whether CPU 0 is to look at the devices though none interrupts.
pub(super) fn attention_wanted() -> bool {
    ATTENTION.load(Ordering::Relaxed)
}

impl Monitor {
    /// Serves the devices that ask for it, on CPU 0 at tick `now`. What comes of it for virtual CPUs is
    /// posted.
    #[cold]
    #[inline(never)]
    pub(super) fn serve_devices(&'static self, now: u64) {
        let all = attention_wanted() && ATTENTION.swap(false, Ordering::AcqRel);
        let mut claimed = all;
        let mut asks = |interrupt: Interrupt| {
            let asks = interrupt.take() || all;
            claimed |= asks;
            asks
        };
        if let Some(disk) = self.devices.disk.filter(|disk| asks(disk.interrupt)) {
            self.disk_ready();
            if disk.has_failed(|driver| driver.disk.has_failed()) {
                self.device_failed("disk", now);
            }
        }
        if let Some(card) = self.devices.card.filter(|card| asks(card.interrupt)) {
            self.card_ready();
            if card.has_failed(|driver| driver.card.has_failed()) {
                self.device_failed("network card", now);
            }
        }
        self.count_unclaimed(claimed);
    }

    /// It is tick `now`, on CPU 0, whose timer has interrupted: at least every
    /// [`crate::clock::LOOK_AT_CLOCK`].
    #[cold]
    #[inline(never)]
    pub(super) fn look_at_devices(&'static self, now: u64) {
        let due = &self.devices.look_due;
        if now >= due.load(Ordering::Relaxed) {
            due.store(now + LOOK_EVERY * count_hz(), Ordering::Relaxed);
            self.disk_time_passes(now);
        }
    }

    /// An interrupt that nobody admits and that does not end would keep CPU 0 from its guests: all
    /// devices are switched off.
    #[cold]
    #[inline(never)]
    fn count_unclaimed(&self, claimed: bool) {
        let unclaimed = &self.devices.unclaimed;
        let count = if claimed {
            0
        } else {
            unclaimed.load(Ordering::Relaxed) + 1
        };
        unclaimed.store(count, Ordering::Relaxed);
        if count == UNCLAIMED_MAX {
            interrupts::close_pci();
            if let Some(disk) = self.devices.disk {
                disk.driver.lock().disk.fail();
            }
            if let Some(card) = self.devices.card {
                card.driver.lock().card.fail();
            }
            want_attention();
        }
    }

    #[cold]
    #[inline(never)]
    fn device_failed(&self, device: &str, now: u64) {
        notice(&format_args!(
            "the real {device} does not work as it should: it was switched off"
        ));
        self.event(Event::DeviceFailed { device }, now, None);
        self.console_changed();
    }

    /// Frames may have come.
    fn card_ready(&'static self) {
        let Some(card) = self.devices.card else {
            return;
        };
        self.spare_for_messages(NodeId(0));
        let mut frame = [0; network::FRAME_MAX];
        for _ in 0..FRAMES_MAX {
            let received = card.driver.lock().receive(&mut frame);
            match received.and_then(|length| frame.get(..length)) {
                Some(frame) => self.frame_came(frame),
                None => return,
            }
        }
        want_attention();
    }
}

impl Cpu {
    /// The command `devices`.
    pub(super) fn devices(&mut self, format: Format) {
        let monitor = self.monitor;
        let state = |failed| if failed { "failed" } else { "works" };
        let disk = monitor.devices.disk.map(|real| {
            let driver = real.driver.lock();
            DeviceRow {
                slot: real.function.device.into(),
                device: "disk",
                line: interrupts::PCI_LINE.into(),
                state: state(driver.disk.has_failed()),
                bytes: Some(driver.disk.sectors().saturating_mul(SECTOR)),
                address: None,
                requests: driver.transfers,
                received: None,
                errors: driver.errors,
            }
        });
        let card = monitor.devices.card.map(|real| {
            let driver = real.driver.lock();
            DeviceRow {
                slot: real.function.device.into(),
                device: "network card",
                line: interrupts::PCI_LINE.into(),
                state: state(driver.card.has_failed()),
                bytes: None,
                address: driver.card.address(),
                requests: driver.sent,
                received: Some(driver.received),
                errors: driver.card.bad_frames(),
            }
        });
        self.rows(format, disk.into_iter().chain(card));
    }
}

impl BlockDevice for RealDisk {
    fn sectors(&self) -> u64 {
        self.disk.sectors()
    }

    fn submit(
        &mut self,
        transfer: Transfer,
        sector: u64,
        pieces: &[Piece],
        token: u32,
    ) -> Result<(), DeviceFull> {
        let operation = match transfer {
            Transfer::Read => Operation::Read,
            Transfer::Write => Operation::Write,
            Transfer::Flush => Operation::Flush,
        };
        let mut pieces = pieces.iter().map(|piece| (piece.address.0, piece.bytes));
        let submitted = self.disk.submit(operation, sector, &mut pieces, token);
        submitted.map_err(|block::Full| DeviceFull)?;
        self.transfers += 1;
        if self.disk.has_failed() {
            want_attention();
        }
        Ok(())
    }

    fn give_up(&mut self) {
        self.disk.fail();
        want_attention();
    }

    fn completed(&mut self) -> Option<(u32, Result<(), DeviceError>)> {
        let failed = self.disk.has_failed();
        let (token, result) = self.disk.completed()?;
        if !failed && self.disk.has_failed() {
            want_attention();
        }
        self.errors += u64::from(result.is_err());
        Some((token, result.map_err(|block::Failed| DeviceError)))
    }
}

impl Link for RealCard {
    fn send(&mut self, frame: &[u8]) -> Result<(), LinkFull> {
        let failed = self.card.has_failed();
        let sent = self.card.send(frame);
        if !failed && self.card.has_failed() {
            want_attention();
        }
        sent.map_err(|network::Full| LinkFull)?;
        self.sent += 1;
        Ok(())
    }

    fn receive(&mut self, frame: &mut Frame) -> Option<usize> {
        let length = self.card.receive(frame)?;
        self.received += 1;
        Some(length)
    }
}
