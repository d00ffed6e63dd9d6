//! The machine description in the flash, and the payload it tells of.

use crate::{fatal, log};
use core::slice;
use disco_arch::board::XKPHYS_CACHED;
use disco_flash::{
    text, Description, DescriptionError, DescriptionView, FlashHeader, FLASH_SIZE, NONE, RESET_SIZE,
};
use disco_kernel::checksum::CRC32;
use disco_kernel::machine::layout::Range;
use zerocopy::FromBytes;

/// The description in the flash at `flash`, a virtual address; a message and the end if it makes
/// no sense.
pub fn find(flash: u64) -> DescriptionView<'static> {
    // SAFETY: the reset code passes the address of the flash, which nobody writes.
    let flash = unsafe { slice::from_raw_parts(flash as *const u8, FLASH_SIZE) };
    let Ok((header, _)) = FlashHeader::ref_from_prefix(&flash[RESET_SIZE..]) else {
        fatal!("the flash is too small for its header");
    };
    let start = header.description_offset.get() as usize;
    let bytes = start
        .checked_add(header.description_len.get() as usize)
        .and_then(|end| flash.get(start..end))
        .unwrap_or(&[]);
    match DescriptionView::parse(bytes) {
        Ok(view) => view,
        Err(error) => {
            let what = match error {
                DescriptionError::Short => "is shorter than its own tables",
                DescriptionError::Magic => "is not where the header says",
                DescriptionError::Range => "has a number out of range",
            };
            fatal!(
                "the machine description in the flash (byte {start:#x}) {what}. \
                 Write the flash again with `cargo xtask flash`."
            )
        }
    }
}

/// Where the payload is.
pub fn payload(machine: &Description) -> Range {
    let start = machine.payload_address.get();
    Range::new(start, start.saturating_add(machine.payload_len.get()))
}

/// The bytes of `range`, which has to be RAM of this machine that nobody writes.
pub fn bytes_of(range: Range) -> &'static [u8] {
    let start = (XKPHYS_CACHED | range.start.0) as *const u8;
    // SAFETY: the layout has found the payload to be in RAM and keeps everybody else away.
    unsafe { slice::from_raw_parts(start, range.len() as usize) }
}

/// Checks every file of the payload against its checksum; a message and the end if one is wrong.
pub fn check_payload(view: &DescriptionView) {
    let payload = bytes_of(payload(view.machine));
    let files = view.files.iter().enumerate();
    let mut checked = 0;
    for (number, file) in files.filter(|(_, file)| file.disk.get() == NONE) {
        let (start, len) = (file.offset.get() as usize, file.len.get() as usize);
        // `parse` has checked that the file ends within the payload.
        let bytes = &payload[start..start + len];
        let (found, expected) = (CRC32.checksum(bytes), file.crc32.get());
        if found != expected {
            fatal!(
                "file {number} of the payload, `{}` ({len} bytes at machine address {:#x}), is \
                 damaged or missing: its checksum is {found:#010x}, the flash says {expected:#010x}. \
                 Start the machine with `cargo xtask run`, which loads flash and payload together.",
                text(&file.name),
                view.machine.payload_address.get() + file.offset.get(),
            );
        }
        checked += 1;
    }
    log!("Disco: {checked} files of the payload checked");
}
