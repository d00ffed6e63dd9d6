//! Cuts a program that shows a difference down to what shows it.

use crate::program::{Program, Value};

/// The smallest program found that `differs` still holds for, from `program`, for which it does.
/// `differs` judges many programs at once.
pub fn shrink<E>(
    program: Program,
    mut differs: impl FnMut(&[Program]) -> Result<Vec<bool>, E>,
) -> Result<Program, E> {
    let mut best = program;
    // Units: halves, quarters, and so on, until none can go.
    let mut piece = best.units.len().div_ceil(2).max(1);
    loop {
        let candidates: Vec<Program> = (0..best.units.len())
            .step_by(piece)
            .map(|first| without(&best, first, piece))
            .collect();
        match first_that(&candidates, &mut differs)? {
            Some(found) => best = found,
            None if piece == 1 => break,
            None => piece = piece.div_ceil(2),
        }
        if best.units.is_empty() {
            break;
        }
        piece = piece.min(best.units.len());
    }
    // Then the state at the start, one thing at a time.
    loop {
        let mut candidates = simpler(&best);
        candidates.retain(|candidate| *candidate != best);
        match first_that(&candidates, &mut differs)? {
            Some(found) => best = found,
            None => return Ok(best),
        }
    }
}

fn first_that<E>(
    candidates: &[Program],
    differs: &mut impl FnMut(&[Program]) -> Result<Vec<bool>, E>,
) -> Result<Option<Program>, E> {
    if candidates.is_empty() {
        return Ok(None);
    }
    let verdicts = differs(candidates)?;
    let found = candidates
        .iter()
        .zip(verdicts)
        .find(|(_, differs)| *differs);
    Ok(found.map(|(candidate, _)| candidate.clone()))
}

fn without(program: &Program, first: usize, count: usize) -> Program {
    let mut smaller = program.clone();
    let end = (first + count).min(smaller.units.len());
    smaller.units.drain(first..end);
    smaller
}

fn simpler(program: &Program) -> Vec<Program> {
    let mut list = Vec::new();
    let mut change = |change: &dyn Fn(&mut Program)| {
        let mut candidate = program.clone();
        change(&mut candidate);
        list.push(candidate);
    };
    change(&|candidate| {
        candidate.gpr = [0; 32];
        candidate.fpr[..32].fill(0);
        candidate.fpr[32] = 3 << 18;
    });
    change(&|candidate| candidate.fpr[..32].fill(0));
    change(&|candidate| candidate.fpr[32] = 3 << 18);
    for number in 1..32 {
        change(&|candidate| candidate.gpr[number] = 0);
    }
    // Entry 0 is the code's.
    for index in 1..program.tlb.len() {
        change(&|candidate| {
            candidate.tlb[index] = [1 << 10, 0, 0, 0].map(Value::Const);
        });
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{program, Sizes};
    use crate::program::Item;

    #[test]
    fn two_units_that_matter_are_left() {
        let whole = program(5, 5, Sizes::All);
        let (one, other) = (whole.units[3].clone(), whole.units[11].clone());
        let shows = |program: &Program| {
            let at = |unit| program.units.iter().position(|other| other == unit);
            at(&one)
                .zip(at(&other))
                .is_some_and(|(one, other)| one < other)
        };
        let smallest = shrink(whole.clone(), |programs| {
            Ok::<_, ()>(programs.iter().map(shows).collect())
        })
        .unwrap();
        assert_eq!(smallest.units, [one.clone(), other.clone()]);
        assert_eq!(smallest.gpr, [0; 32]);
        assert!(
            smallest.units[0]
                .items
                .iter()
                .all(|item| *item != Item::Mark)
                || !whole.units.is_empty()
        );
    }
}
