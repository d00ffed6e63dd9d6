//! Steps that compare figures which steps before have kept.

use super::Player;
use anyhow::{anyhow, ensure, Context, Result};
use std::time::{SystemTime, UNIX_EPOCH};

impl Player<'_> {
    /// The number that is kept under this name.
    fn number(&self, name: &str) -> Result<f64> {
        let text = self
            .kept
            .get(name)
            .with_context(|| format!("no step has kept {name}"))?;
        text.parse()
            .map_err(|_| anyhow!("{name} is no number: {text}"))
    }

    pub(super) fn share(&self, share: &str, of: &[String], percent: &[f64; 2]) -> Result<()> {
        let numbers = of.iter().map(|name| self.number(name));
        let whole = numbers.sum::<Result<f64>>()?;
        let part = 100.0 * self.number(share)? / whole;
        let [least, most] = percent;
        ensure!(
            (*least..=*most).contains(&part),
            "expected {share} to be {least} to {most} % of {}, and it is {part:.1} %",
            of.join(" + ")
        );
        Ok(())
    }

    fn between(&self, [first, second]: &[String; 2]) -> Result<f64> {
        Ok(self.number(second)? - self.number(first)?)
    }

    pub(super) fn agrees(
        &self,
        elapsed: &[String; 2],
        least: &[String; 2],
        most: &[String; 2],
        percent: f64,
    ) -> Result<()> {
        let seconds = self.between(elapsed)? / 1e9;
        let least = self.between(least)? * (1.0 - percent / 100.0);
        let most = self.between(most)? * (1.0 + percent / 100.0);
        ensure!(
            (least..=most).contains(&seconds),
            "expected the guest's clock to be right within {percent} %: for {seconds:.3} s it told \
             between {least:.3} s and {most:.3} s, with that allowance"
        );
        Ok(())
    }

    pub(super) fn elapsed(&self, events: &[String; 2], [least, most]: &[f64; 2]) -> Result<()> {
        let [first, second] = events;
        let seconds = self.between(events)? / 1e9;
        ensure!(
            (*least..=*most).contains(&seconds),
            "expected {least} to {most} s from {first} to {second}, and it is {seconds:.3} s"
        );
        Ok(())
    }

    pub(super) fn clock(&self, clock: &str, within: f64) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        let ahead = self.number(clock)? - now;
        ensure!(
            ahead.abs() <= within,
            "expected {clock} to be this computer's time within {within} s, and it is {ahead:.0} s ahead"
        );
        Ok(())
    }
}
