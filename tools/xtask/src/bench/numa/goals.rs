//! What is wanted of the policy, and whether it was reached.

use super::figures::Figures;
use super::machine::Column;
use super::programs::Program;
use std::fmt;

/// Something that is wanted of a program with policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// At least so much of the misses is local, 0 to 1.
    LocalShare(f64),
    /// It takes at most so much of what it takes with this memory.
    TimeOf(Column, f64),
}

impl Program {
    /// What is wanted of it with this policy. Samples are of the TLB's misses: they find the pages whose moves pay, not all that
    /// are missed on.
    pub fn goals(self, policy: Column) -> &'static [Goal] {
        match (self, policy) {
            (Self::Groups, _) => &[Goal::TimeOf(Column::None, 1.02)],
            (Self::Rays, Column::Sampled) => &[Goal::TimeOf(Column::Uniform, 1.25)],
            _ => &[Goal::LocalShare(0.85), Goal::TimeOf(Column::Uniform, 1.25)],
        }
    }
}

/// A goal, and what was measured.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// Which policy.
    column: Column,
    goal: Goal,
    measured: f64,
}

/// How the policies do by a program's goals. `rows` has the figures of each column.
pub fn verdicts(program: Program, rows: &[Figures]) -> Vec<Verdict> {
    let row = |column: Column| rows.iter().find(|row| row.memory == column.name());
    let judge = |column: Column, goal: Goal| {
        let measured = match goal {
            Goal::LocalShare(_) => row(column)?.local_share,
            Goal::TimeOf(other, _) => {
                row(column)?.elapsed_ns as f64 / row(other)?.elapsed_ns.max(1) as f64
            }
        };
        Some(Verdict {
            column,
            goal,
            measured,
        })
    };
    let policies = [Column::Sampled, Column::Exact].into_iter();
    let judged = policies.flat_map(|column| {
        let goals = program.goals(column).iter();
        goals.filter_map(move |&goal| judge(column, goal))
    });
    judged.collect()
}

impl Verdict {
    /// Whether the goal was reached.
    pub fn is_met(&self) -> bool {
        match self.goal {
            Goal::LocalShare(least) => self.measured >= least,
            Goal::TimeOf(_, most) => self.measured <= most,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: ", self.column.name())?;
        let measured = self.measured * 100.0;
        match self.goal {
            Goal::LocalShare(least) => {
                let least = least * 100.0;
                write!(f, "{measured:.1} % of the misses local, goal {least:.0} %")?;
            }
            Goal::TimeOf(other, most) => {
                let (other, most) = (other.name(), most * 100.0);
                write!(
                    f,
                    "{measured:.1} % of the time with {other}, goal {most:.0} %"
                )?;
            }
        }
        f.write_str(if self.is_met() { ": met" } else { ": missed" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(column: Column, elapsed_ns: u64, local_share: f64) -> Figures {
        Figures {
            memory: column.name(),
            elapsed_ns,
            local_share,
            ..Figures::default()
        }
    }

    #[test]
    fn goals_are_met_or_missed() {
        let rows = [
            row(Column::None, 1000, 0.1),
            row(Column::Sampled, 620, 0.86),
            row(Column::Exact, 640, 0.84),
            row(Column::Uniform, 500, 0.1),
        ];
        let met = |program| -> Vec<bool> {
            let verdicts = verdicts(program, &rows);
            verdicts.iter().map(Verdict::is_met).collect()
        };
        assert_eq!(met(Program::Jobs), [true, true, false, false]);
        assert_eq!(met(Program::Groups), [true, true]);
        assert_eq!(met(Program::Rays), [true, false, false]);
        let text = verdicts(Program::Rays, &rows)[0].to_string();
        assert_eq!(
            text,
            "policy, sampled: 124.0 % of the time with uniform, goal 125 %: met"
        );
    }
}
