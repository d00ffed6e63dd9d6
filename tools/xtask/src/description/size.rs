//! Sizes as people write them: "128M", "1G".

/// Bytes of a size text: a whole number with the unit K, M or G (powers of 1024).
pub fn parse(text: &str) -> Option<u64> {
    let unit = text.chars().last()?;
    let shift = match unit {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// `bytes` in the largest unit that divides it, or in whole M.
pub fn show(bytes: u64) -> String {
    if bytes > 0 && bytes.is_multiple_of(1 << 30) {
        format!("{}G", bytes >> 30)
    } else if bytes < 1 << 20 {
        format!("{}K", bytes >> 10)
    } else {
        format!("{}M", bytes >> 20)
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, show};
    use proptest::prelude::*;

    #[test]
    fn units() {
        assert_eq!(parse("64K"), Some(64 << 10));
        assert_eq!(parse("128M"), Some(128 << 20));
        assert_eq!(parse("2G"), Some(2 << 30));
    }

    #[test]
    fn what_is_no_size() {
        for text in [
            "",
            "M",
            "128",
            "128MB",
            "-1M",
            "+1M",
            "1.5G",
            "1 G",
            "99999999999999G",
            "1m",
            "1é",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn shown_sizes_read_back(megabytes in 1_u64..4096) {
            prop_assert_eq!(parse(&show(megabytes << 20)), Some(megabytes << 20));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".*") {
            let _ = parse(&text);
        }
    }
}
