//! Carries out a test's steps on a running machine.

mod figures;

use super::http;
use super::manifest::Step;
use crate::run::network::Forward;
use crate::run::session::Session;
use anyhow::{bail, ensure, Context, Result};
use regex::bytes::Regex;
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Where a test stands.
pub struct Player<'a> {
    session: &'a mut Session,
    deadline: Instant,
    /// Starts the machine again, with bytes of its disk inverted.
    again: &'a dyn Fn(&[i64]) -> Result<Session>,
    /// Ports that lead to virtual machines.
    forwards: &'a [Forward],
    /// The name that steps are played for just now.
    name: Option<String>,
    /// How much of the console the steps so far have matched.
    matched: usize,
    /// Events that a step has met, by their index.
    met: Vec<usize>,
    kept: BTreeMap<String, String>,
    off: bool,
}

impl<'a> Player<'a> {
    /// Starts at the beginning of the console and of the events. `again` starts the machine again, with
    /// these bytes of its disk inverted.
    pub fn new(
        session: &'a mut Session,
        deadline: Instant,
        forwards: &'a [Forward],
        again: &'a dyn Fn(&[i64]) -> Result<Session>,
    ) -> Self {
        Self {
            session,
            again,
            deadline,
            forwards,
            name: None,
            matched: 0,
            met: Vec::new(),
            kept: BTreeMap::new(),
            off: false,
        }
    }

    /// Carries out all steps, or says which was not met.
    pub fn play(&mut self, steps: &[Step]) -> Result<()> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Expect { expect } => self.expect(&self.named(expect)),
            Step::Send { send } => {
                let text = self.named(send);
                self.session.send(&text);
                Ok(())
            }
            Step::Event { .. } => self.event(step),
            Step::Off { off } => self.switched_off(*off),
            Step::Restart {
                restart,
                damage_disk,
            } => self.restart(*restart, damage_disk),
            Step::Get { get, path, answer } => self.get(get, path, answer),
            Step::Pause { pause } => {
                thread::sleep(Duration::from_millis(*pause));
                Ok(())
            }
            Step::Repeat { repeat, steps } => (1..=*repeat).try_for_each(|round| {
                self.play(steps)
                    .with_context(|| format!("round {round} of {repeat}"))
            }),
            Step::Each { each, steps } => {
                let played = each.iter().try_for_each(|name| {
                    self.name = Some(name.clone());
                    self.play(steps).with_context(|| format!("for {name}"))
                });
                self.name = None;
                played
            }
            Step::Share { share, of, percent } => self.share(share, of, percent),
            Step::Elapsed { elapsed, seconds } => self.elapsed(elapsed, seconds),
            Step::Agrees {
                elapsed,
                least,
                most,
                percent,
            } => self.agrees(elapsed, least, most, *percent),
            Step::Clock { clock, within } => self.clock(clock, *within),
        }
    }

    /// A step's text with the name that it is played for, and with what is kept.
    fn named(&self, text: &str) -> String {
        let name = self.name.iter().map(|name| ("vm", name.as_str()));
        let kept = self
            .kept
            .iter()
            .map(|(key, text)| (key.as_str(), text.as_str()));
        name.chain(kept)
            .fold(text.to_owned(), |text, (key, value)| {
                text.replace(&format!("{{{key}}}"), value)
            })
    }

    fn expect(&mut self, pattern: &str) -> Result<()> {
        let regex = Regex::new(&format!("(?m){pattern}"))?;
        let mut looked_at = None;
        self.wait(&format!("the console to match /{pattern}/"), |player| {
            let length = player.session.console_len();
            if looked_at.replace(length) == Some(length) {
                return Ok(false);
            }
            let console = player.session.console();
            let Some(captures) = regex.captures(&console[player.matched..]) else {
                return Ok(false);
            };
            let end = captures.get(0).map_or(0, |whole| whole.end());
            // What is kept may be a number of which more digits are to come.
            let keeps = regex.capture_names().flatten().next().is_some();
            if keeps && player.matched + end == console.len() {
                return Ok(false);
            }
            player.matched += end;
            for name in regex.capture_names().flatten() {
                if let Some(text) = captures.name(name) {
                    player.keep(name, &String::from_utf8_lossy(text.as_bytes()))?;
                }
            }
            Ok(true)
        })
    }

    fn get(&mut self, target: &str, path: &str, answer: &str) -> Result<()> {
        let named = |forward: &&Forward| format!("{}:{}", forward.vm, forward.port) == target;
        let forward = self.forwards.iter().find(named);
        let forward = forward.with_context(|| format!("`forward` has no {target}"))?;
        let regex = regex::Regex::new(&format!("(?m){answer}"))?;
        let mut last = String::new();
        let result = self.wait(&format!("{target} to answer as it should"), |_| {
            // Until the server listens, the connection is closed at once.
            last = http::get(forward, path).unwrap_or_else(|error| format!("{error:#}"));
            Ok(regex.is_match(&last))
        });
        result.with_context(|| format!("expected {path} to match /{answer}/, and it is: {last}"))
    }

    fn keep(&mut self, name: &str, text: &str) -> Result<()> {
        let before = self
            .kept
            .entry(name.to_owned())
            .or_insert_with(|| text.to_owned());
        ensure!(
            before == text,
            "expected {name} to stay {before}, and it is {text}"
        );
        Ok(())
    }

    fn event(&mut self, step: &Step) -> Result<()> {
        let Step::Event {
            event,
            vm,
            reason,
            message,
            keep,
        } = step
        else {
            return Ok(());
        };
        let pattern = |text: &Option<String>| Regex::new(text.as_deref().unwrap_or(""));
        let (why, what) = (pattern(reason)?, pattern(message)?);
        let says = |pattern: &Regex, text: &Option<String>| {
            pattern.is_match(text.as_deref().unwrap_or("").as_bytes())
        };
        self.wait(&format!("the event {}", described(step)), |player| {
            let found = player
                .session
                .events
                .seen
                .iter()
                .enumerate()
                .position(|(index, seen)| {
                    seen.event == *event
                        && (vm.is_none() || seen.vm == *vm)
                        && says(&why, &seen.reason)
                        && says(&what, &seen.message)
                        && !player.met.contains(&index)
                });
            if let (Some(name), Some(index)) = (keep, found) {
                let ns = player.session.events.seen[index].ns;
                player.kept.insert(name.clone(), ns.to_string());
            }
            player.met.extend(found);
            Ok(found.is_some())
        })
    }

    fn switched_off(&mut self, status: i32) -> Result<()> {
        self.off = true;
        let mut ended = None;
        self.wait("the machine to be off", |player| {
            ended = player.session.ended()?;
            Ok(ended.is_some())
        })?;
        let code = ended.and_then(|status| status.code());
        ensure!(
            code == Some(status),
            "expected QEMU's exit status {status}, and it is {code:?}"
        );
        Ok(())
    }

    /// From here on all steps are about the machine's next run.
    fn restart(&mut self, status: i32, damage: &[i64]) -> Result<()> {
        self.switched_off(status)?;
        *self.session = (self.again)(damage)?;
        self.off = false;
        self.matched = 0;
        self.met.clear();
        Ok(())
    }

    /// Waits for verdicts: "pass" of every virtual machine named.
    pub fn verdicts(&mut self, vms: &[String]) -> Result<()> {
        for vm in vms {
            self.wait(&format!("the verdict of {vm}"), |player| {
                Ok(player
                    .session
                    .events
                    .find("test_verdict", Some(vm))
                    .is_some())
            })?;
        }
        Ok(())
    }

    /// Waits for a condition, and meanwhile for everything that ends a test.
    fn wait(&mut self, what: &str, mut met: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        loop {
            // Asked before the condition: what a machine said before it ended counts.
            let ended = if self.off {
                None
            } else {
                self.session.ended()?
            };
            self.session.events.poll();
            self.check_events()?;
            if met(self)? {
                return Ok(());
            }
            if let Some(status) = ended {
                thread::sleep(POLL * 5);
                self.session.events.poll();
                self.check_events()?;
                if met(self)? {
                    return Ok(());
                }
                bail!("expected {what}, but the machine went off ({status})");
            }
            if Instant::now() >= self.deadline {
                bail!("expected {what}, in vain until the time limit");
            }
            thread::sleep(POLL);
        }
    }

    /// A panic, or a verdict that is not "pass", fails any test.
    pub fn check_events(&self) -> Result<()> {
        for event in &self.session.events.seen {
            let reason = event.reason.as_deref().unwrap_or("no reason given");
            if event.event == "panic" {
                bail!("the monitor panicked: {reason}");
            }
            if event.event == "test_verdict" && event.verdict.as_deref() != Some("pass") {
                bail!(
                    "the guest in {} failed: {reason}",
                    event.vm.as_deref().unwrap_or("?")
                );
            }
        }
        Ok(())
    }
}

/// An event step in words.
fn described(step: &Step) -> String {
    let Step::Event {
        event,
        vm,
        reason,
        message,
        ..
    } = step
    else {
        return String::new();
    };
    let mut text = event.clone();
    let parts = [
        ("of", vm),
        ("with a reason like", reason),
        ("with a message like", message),
    ];
    for (word, value) in parts {
        if let Some(value) = value {
            text.push_str(&format!(" {word} {value}"));
        }
    }
    text
}
