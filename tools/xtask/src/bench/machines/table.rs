//! Machines in both ways as a table.

use super::Machines;
use std::fmt::Write;

/// For people: the host's memory, and seconds.
pub fn of(all: &[Machines]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "{:<34}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}\n",
        "figures of this computer, with noise",
        "QEMUs",
        "monitor",
        "QEMUs",
        "monitor",
        "QEMUs",
        "monitor"
    );
    let _ = writeln!(
        text,
        "{:<34}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "MiB (PSS)", "", "CPU s", "", "time s", ""
    );
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let seconds = |ms: u64| ms as f64 / 1e3;
    for Machines {
        count,
        native,
        guest,
    } in all
    {
        let name = if *count == 1 { "machine" } else { "machines" };
        let _ = writeln!(
            text,
            "{:<34}{:>12.1}{:>10.1}{:>10.1}{:>10.1}{:>10.1}{:>10.1}",
            format!("  {count} {name}"),
            mib(native.pss_bytes),
            mib(guest.pss_bytes),
            seconds(native.cpu_ms),
            seconds(guest.cpu_ms),
            seconds(native.wall_ms),
            seconds(guest.wall_ms)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::host::Usage;
    use super::*;

    #[test]
    fn both_ways_are_beside_each_other() {
        let usage = |of: u64| Usage {
            rss_bytes: 0,
            pss_bytes: of << 20,
            cpu_ms: of * 1000,
            wall_ms: of * 500,
        };
        let text = of(&[Machines {
            count: 8,
            native: usage(80),
            guest: usage(20),
        }]);
        let line = text.lines().last().unwrap();
        let cells: Vec<&str> = line.split_whitespace().skip(2).collect();
        assert_eq!(cells, ["80.0", "20.0", "80.0", "20.0", "40.0", "10.0"]);
        assert_eq!(of(&[]), "");
    }
}
