//! What a bar is made of: where the time of a row's side goes.

use super::cite::Cited;
use crate::bench::breakdown::figures::{Cause, Side, Split};
use crate::bench::record::{Both, Record};

/// Kinds of what the monitor does, as causes begin, with how they are coloured; the last one is all others.
pub const KINDS: [(&str, &str); 9] = [
    ("second-level TLB", "k0"),
    ("linear window", "k1"),
    ("miss", "k2"),
    ("page fault", "k3"),
    ("system call", "k4"),
    ("privileged", "k5"),
    ("call", "k6"),
    ("interrupt", "k7"),
    ("other", "k8"),
];

/// A part of a bar.
pub struct Part {
    /// How it is coloured.
    pub class: &'static str,
    /// Nanoseconds, which are instructions.
    pub ns: u64,
    /// What it is.
    pub title: String,
    /// Where it comes from.
    pub cited: Cited,
}

/// Both sides of the row `number` of `record`.
pub fn of(record: &Record, number: usize) -> Option<[Vec<Part>; 2]> {
    let row = record.rows.get(number)?;
    let split = record
        .breakdown
        .iter()
        .position(|split| split.name == row.name);
    let split = split.and_then(|place| Some((place, record.breakdown.get(place)?)));
    Some([
        side(
            row,
            number,
            split,
            ("native", row.native_ns, |split| &split.native),
        ),
        side(
            row,
            number,
            split,
            ("guest", row.guest_ns, |split| &split.guest),
        ),
    ])
}

/// A side's parts; one, if it is not known where its time goes.
fn side(
    row: &Both,
    number: usize,
    split: Option<(usize, &Split)>,
    (name, ns, of): (&str, u64, fn(&Split) -> &Side),
) -> Vec<Part> {
    let field = format!("{name}_ns");
    let Some((place, split)) = split else {
        return vec![Part {
            class: "plain",
            ns,
            title: format!("{}, {name}: {ns} ns", row.name),
            cited: Cited::new("rows", number, &field, ns),
        }];
    };
    let side = of(split);
    let part = |class, ns, what: &str, field: &str| Part {
        class,
        ns,
        title: format!("{}, {name}: {what}, {ns} instructions", row.name),
        cited: Cited::new("breakdown", place, &format!("{name}.{field}"), ns),
    };
    let mut parts = vec![
        part("user", side.user, "user", "user"),
        part("kernel", side.kernel, "kernel", "kernel"),
    ];
    let mut causes: Vec<(usize, usize, &Cause)> = side
        .causes
        .iter()
        .enumerate()
        .map(|(at, cause)| (kind(&cause.name), at, cause))
        .collect();
    causes.sort_by_key(|&(kind, at, _)| (kind, at));
    for (kind, at, cause) in causes {
        let class = KINDS[kind].1;
        let what = format!("monitor, {}, {} entries", cause.name, cause.entries);
        let field = format!("causes[{at}].instructions");
        parts.push(part(class, cause.instructions, &what, &field));
    }
    // QEMU counts the instruction behind a compact branch that is taken, which is not executed.
    let skipped = ns.saturating_sub(side.busy());
    if skipped > 0 {
        parts.push(Part {
            class: "skipped",
            ns: skipped,
            title: format!(
                "{}, {name}: skipped, {skipped} ns: the {ns} ns of the row without the instructions",
                row.name
            ),
            cited: Cited::new("rows", number, &field, ns),
        });
    }
    parts
}

/// Which of [`KINDS`] a cause is of.
fn kind(cause: &str) -> usize {
    let found = KINDS.iter().position(|(kind, _)| cause.starts_with(kind));
    found.unwrap_or(KINDS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::{kind, KINDS};

    #[test]
    fn causes_are_of_the_kind_that_they_begin_with() {
        let of = |cause| KINDS[kind(cause)].0;
        assert_eq!(of("second-level TLB"), "second-level TLB");
        assert_eq!(of("linear window, large page"), "linear window");
        assert_eq!(of("call: Context"), "call");
        assert_eq!(of("system call to the guest"), "system call");
        assert_eq!(of("FPU enabled"), "other");
    }
}
