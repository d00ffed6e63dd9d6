//! The checksum of everything that outlives the machine: flash, payload, partition table, logs.

use crc::{Crc, Table, CRC_32_ISO_HDLC};

/// CRC-32 as in zip, Ethernet and UEFI. With a table of 1 KiB.
pub static CRC32: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);
