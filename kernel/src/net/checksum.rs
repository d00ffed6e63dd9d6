//! The Internet checksum (RFC 1071), for frames that leave.

/// Fills in the checksum of `frame` that `field` asks for, see [`disco_abi::NetMessage::checksum`]:
/// what stands in its place already, such as the sum of a pseudo-header, is summed with the rest.
/// A place outside of the frame is left alone.
pub fn complete(frame: &mut [u8], field: u64) {
    let (place, start) = ((field >> 32) as usize, field as u32 as usize);
    if field == 0 || field == u64::MAX {
        return;
    }
    let Some(summed) = frame.get(start..) else {
        return;
    };
    let sum = match !fold(summed) {
        // The same number for who checks; as a UDP checksum, 0 would mean that there is none.
        0 => u16::MAX,
        sum => sum,
    };
    if let Some(place) = place
        .checked_add(2)
        .and_then(|end| frame.get_mut(place..end))
    {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

/// The one's complement sum of the 16-bit words of `bytes`.
fn fold(bytes: &[u8]) -> u16 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |&byte| u64::from(byte) << 8);
    let mut sum = pairs
        .iter()
        .map(|&pair| u64::from(u16::from_be_bytes(pair)))
        .sum::<u64>()
        + last;
    while sum > u64::from(u16::MAX) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_rfc_1071() {
        // Its example, section 3.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(&bytes), 0xddf2);
        assert_eq!(fold(&[0xff, 0xff, 0x01]), 0x0100);
        assert_eq!(fold(&[]), 0);
    }

    #[test]
    fn a_completed_frame_sums_to_nothing() {
        for length in [20, 21, 64, 1514] {
            let mut frame: Vec<u8> = (0..length).map(|byte| (byte * 7 + 3) as u8).collect();
            frame[16..18].fill(0);
            complete(&mut frame, 16 << 32 | 14);
            assert_eq!(fold(&frame[14..]), 0xffff, "{length}");
        }
    }

    #[test]
    fn no_sum_is_written_as_zero() {
        let mut frame = [0; 32];
        complete(&mut frame, 20 << 32 | 14);
        assert_eq!(frame[20..22], [0xff, 0xff]);
    }

    #[test]
    fn a_place_outside_is_left_alone() {
        for field in [0, u64::MAX, 31 << 32 | 14, 20 << 32 | 33, 0xffff_ffff << 32] {
            let mut frame = [1; 32];
            complete(&mut frame, field);
            assert_eq!(frame, [1; 32], "{field:#x}");
        }
    }
}
