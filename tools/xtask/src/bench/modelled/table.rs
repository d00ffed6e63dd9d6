//! Both sides as a table.

use super::figures::{Row, Side, Times};
use std::fmt::Write;

/// For people: simulated milliseconds, and what they go to.
pub fn of(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<28}{:<8}{:>9}{:>8}{:>18}{:>18}{:>18}{:>10}\n",
        "simulated ms, run + stall", "", "time", "ratio", "user", "kernel", "monitor", "misses"
    );
    for row in rows {
        side(&mut text, row.about, "native", &row.native, "");
        side(
            &mut text,
            "",
            "guest",
            &row.guest,
            &format!("{:.3}", row.ratio()),
        );
    }
    text
}

fn side(text: &mut String, about: &str, name: &str, side: &Side, ratio: &str) {
    let ms = |ns: u64| ns as f64 / 1e6;
    let both = |times: Times| format!("{:.1} + {:.1}", ms(times.run_ns), ms(times.stall_ns));
    let _ = writeln!(
        text,
        "{about:<28}{name:<8}{:>9.1}{ratio:>8}{:>18}{:>18}{:>18}{:>10}",
        ms(side.elapsed_ns),
        both(side.user),
        both(side.kernel),
        both(side.monitor),
        side.misses
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::modelled::figures::tests::row;

    #[test]
    fn a_row_has_a_line_for_each_side() {
        let mut row = row();
        row.guest.elapsed_ns = 1_500_000_000;
        row.native.elapsed_ns = 1_000_000_000;
        row.guest.monitor.stall_ns = 2_340_000;
        let text = of(&[row]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("native     1000.0"), "{text}");
        assert!(lines[2].contains("guest      1500.0   1.500"), "{text}");
        assert!(lines[2].contains("0.0 + 2.3"), "{text}");
    }
}
