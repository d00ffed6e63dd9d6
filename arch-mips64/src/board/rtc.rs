//! The battery-backed clock (MC146818) of the PIIX4 bridge.

use super::registers::Registers;
use super::PCI_IO;

/// Port that selects a register; its value is at the port behind it.
const SELECT: u64 = 0x70;
/// Register A: an update is in progress.
const STATUS_A: u8 = 0x0a;
/// Bit of register A.
const UPDATING: u8 = 1 << 7;
/// Register B: formats.
const STATUS_B: u8 = 0x0b;
/// Bit of register B: binary, not BCD.
const BINARY: u8 = 1 << 2;
/// Bit of register B: 24 hours.
const HOURS_24: u8 = 1 << 1;
/// Registers of second, minute, hour, day, month, year and century.
const FIELDS: [u8; 7] = [0x00, 0x02, 0x04, 0x07, 0x08, 0x09, 0x32];
/// Bit of the hour register in 12-hour format: afternoon.
const AFTERNOON: u8 = 1 << 7;

fn read(register: u8) -> u8 {
    // SAFETY: the clock answers at these two ports.
    let ports = unsafe { Registers::at(PCI_IO + SELECT) };
    ports.write8(0, register);
    ports.read8(1)
}

fn snapshot() -> [u8; 7] {
    while read(STATUS_A) & UPDATING != 0 {
        core::hint::spin_loop();
    }
    FIELDS.map(read)
}

/// Seconds since 1970-01-01 00:00 of the clock's time zone (UTC on QEMU). Waits for an update
/// that is in progress. Callers take turns: selecting and reading are two accesses.
pub fn unix_seconds() -> u64 {
    let mut fields = snapshot();
    loop {
        let again = snapshot();
        if fields == again {
            return decode(fields, read(STATUS_B));
        }
        fields = again;
    }
}

fn decode(fields: [u8; 7], format: u8) -> u64 {
    let number = |value: u8| -> u64 {
        if format & BINARY != 0 {
            value.into()
        } else {
            u64::from(value >> 4) * 10 + u64::from(value & 0xf)
        }
    };
    let [second, minute, hour, day, month, year, century] = fields;
    let hour = if format & HOURS_24 != 0 {
        number(hour)
    } else {
        number(hour & !AFTERNOON) % 12 + if hour & AFTERNOON != 0 { 12 } else { 0 }
    };
    let year = number(century) * 100 + number(year);
    let days = days_since_1970(year, number(month), number(day));
    ((days * 24 + hour) * 60 + number(minute)) * 60 + number(second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, not before 1970.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // Years that begin in March put the leap day at the end.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.max(1) - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (month * 153 + 2) / 5 + day;
    // 719 469 days lie between 0000-03-01, with its day counted from 1, and 1970-01-01.
    days.saturating_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(days_since_1970(1970, 1, 1), 0);
        assert_eq!(days_since_1970(1970, 3, 1), 59);
        assert_eq!(days_since_1970(2000, 2, 29), 11_016);
        assert_eq!(days_since_1970(2026, 11, 22), 20_779);
    }

    #[test]
    fn formats() {
        let bcd = [0x59, 0x58, 0x23, 0x09, 0x09, 0x01, 0x20];
        assert_eq!(decode(bcd, HOURS_24), 1_000_079_939);
        let binary = [59, 58, 11 | AFTERNOON, 9, 9, 1, 20];
        assert_eq!(decode(binary, BINARY), 1_000_079_939);
        let midnight = [0, 0, 0x12, 0x01, 0x01, 0x70, 0x19];
        assert_eq!(decode(midnight, 0), 0);
    }
}
