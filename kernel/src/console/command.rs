//! What can be typed at the prompt.

use crate::numa::hottest::KEPT_MAX;
use core::fmt::{self, Display, Formatter, Write};

/// How a listing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A command. `V` says which virtual machine: by its name as typed, or by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<V> {
    /// Says what can be typed; about one command only, where one is named.
    Help(Option<&'static Entry>),
    /// Lists the virtual machines.
    VmList(Format),
    /// Shows one virtual machine and its virtual CPUs.
    VmInfo(V, Format),
    /// Tells which machine page a guest-physical address of a virtual machine has.
    VmPage(V, u64, Format),
    /// Attaches the terminal to a virtual machine.
    VmConsole(V),
    /// Ends a virtual machine.
    VmStop(V),
    /// Starts a virtual machine that has ended.
    VmStart(V),
    /// Lists the machine's CPUs.
    Cpus(Format),
    /// Shows where the machine's memory is.
    Mem(Format),
    /// Tells whose the page at a machine address is, and who uses it.
    MemPage(u64, Format),
    /// Moves a page of a virtual machine, by guest-physical address, to a node.
    NumaMove(V, u64, u64),
    /// Moves random pages of all virtual machines for so many seconds.
    NumaShake(u64),
    /// Shows what nodes have counted of misses and moves.
    Numa(Format),
    /// Shows so many of the pages with the most misses: no more than [`KEPT_MAX`].
    NumaTop(u16, Format),
    /// Shows the virtual disks and who has them.
    Disk(Format),
    /// Shows what the virtual subnet carries.
    Net(Format),
    /// Lists the real devices.
    Devices(Format),
    /// Shows the monitor's counters.
    Stats(Format),
    /// Audits the monitor's invariants.
    Check(Format),
    /// Ends the machine.
    PowerOff,
}

impl<V> Command<V> {
    /// The same command with the virtual machine named in another way.
    pub fn with_vm<W, E>(self, resolve: impl FnOnce(V) -> Result<W, E>) -> Result<Command<W>, E> {
        Ok(match self {
            Self::Help(entry) => Command::Help(entry),
            Self::VmList(format) => Command::VmList(format),
            Self::VmInfo(vm, format) => Command::VmInfo(resolve(vm)?, format),
            Self::VmPage(vm, address, format) => Command::VmPage(resolve(vm)?, address, format),
            Self::VmConsole(vm) => Command::VmConsole(resolve(vm)?),
            Self::VmStop(vm) => Command::VmStop(resolve(vm)?),
            Self::VmStart(vm) => Command::VmStart(resolve(vm)?),
            Self::Cpus(format) => Command::Cpus(format),
            Self::Mem(format) => Command::Mem(format),
            Self::MemPage(address, format) => Command::MemPage(address, format),
            Self::NumaShake(seconds) => Command::NumaShake(seconds),
            Self::NumaMove(vm, address, node) => Command::NumaMove(resolve(vm)?, address, node),
            Self::Numa(format) => Command::Numa(format),
            Self::NumaTop(most, format) => Command::NumaTop(most, format),
            Self::Disk(format) => Command::Disk(format),
            Self::Net(format) => Command::Net(format),
            Self::Devices(format) => Command::Devices(format),
            Self::Stats(format) => Command::Stats(format),
            Self::Check(format) => Command::Check(format),
            Self::PowerOff => Command::PowerOff,
        })
    }
}

/// What may follow a command's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    Json,
    Vm,
    VmAndJson,
    AddressAndJson,
    VmAddressAndJson,
    VmAddressAndNode,
    Seconds,
    CountAndJson,
    Words,
}

impl Takes {
    const fn text(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Json => " [--json]",
            Self::Vm => " NAME",
            Self::VmAndJson => " NAME [--json]",
            Self::AddressAndJson => " ADDRESS [--json]",
            Self::VmAddressAndJson => " NAME ADDRESS [--json]",
            Self::VmAddressAndNode => " NAME ADDRESS NODE",
            Self::Seconds => " SECONDS",
            Self::CountAndJson => " [N] [--json]",
            Self::Words => " [COMMAND]",
        }
    }

    const fn has_json(self) -> bool {
        !matches!(
            self,
            Self::Nothing | Self::Vm | Self::VmAddressAndNode | Self::Seconds | Self::Words
        )
    }

    const fn has_vm(self) -> bool {
        matches!(
            self,
            Self::Vm | Self::VmAndJson | Self::VmAddressAndJson | Self::VmAddressAndNode
        )
    }

    const fn has_address(self) -> bool {
        matches!(
            self,
            Self::AddressAndJson | Self::VmAddressAndJson | Self::VmAddressAndNode
        )
    }

    const fn has_number(self) -> bool {
        matches!(self, Self::VmAddressAndNode | Self::Seconds)
    }
}

/// One command of the table behind parser, help and completion.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    first: &'static str,
    /// The second word, or nothing.
    second: &'static str,
    takes: Takes,
    help: &'static str,
    more: &'static str,
}

const fn entry(
    first: &'static str,
    second: &'static str,
    takes: Takes,
    help: &'static str,
    more: &'static str,
) -> Entry {
    Entry {
        first,
        second,
        takes,
        help,
        more,
    }
}

const HELP: usize = 0;
static ENTRIES: [Entry; 20] = [
    entry("help", "", Takes::Words, "this list, or more about one command", ""),
    entry("vm", "list", Takes::Json, "every virtual machine: state, memory, CPU time", ""),
    entry("vm", "info", Takes::VmAndJson, "one virtual machine and its virtual CPUs", ""),
    entry("vm", "page", Takes::VmAddressAndJson, "the machine page of a guest-physical address",
        "The address is in hexadecimal: `vm page alpha 0x1c000`. `mem page` tells more about the machine page.\n"),
    entry("vm", "console", Takes::Vm, "attach this terminal to a virtual machine",
        "What it printed meanwhile is shown first. Ctrl-] leaves; Ctrl-] twice at once sends Ctrl-].\n"),
    entry("vm", "stop", Takes::Vm, "end a virtual machine and free its memory",
        "It ends at once, as if its power was cut. `vm start` starts it anew.\n"),
    entry("vm", "start", Takes::Vm, "start a virtual machine that has ended", ""),
    entry("cpus", "", Takes::Json, "each CPU: its node, its code's address, what it runs", ""),
    entry("mem", "page", Takes::AddressAndJson, "whose a page of the machine is, and who uses it",
        "The machine address is in hexadecimal: `mem page 0x81234000`. `vm page` tells that of a guest's page.\n"),
    entry("mem", "", Takes::Json, "what memory is used for: by node, by virtual machine, by kind", ""),
    entry("numa", "top", Takes::CountAndJson, "the hottest pages: who misses on them, what was decided",
        "The pages with the most misses of late, hottest first: 20 of them, or so many, up to 150. HEAT is what is left of\n\
         sampled misses without those that the caches serve; of exact ones it is the sum. MISSES OF EACH NODE are\n\
         the directory's counts, which are halved at the end of each interval; WRITES are part of them. DECISION\n\
         and WHY are the policy's last ones on the page, TO the nodes it was moved to. A page that several use has no VM.\n"),
    entry("numa", "move", Takes::VmAddressAndNode, "move a virtual machine's page to a node",
        "The guest-physical address is in hexadecimal: `numa move alpha 0x1c000 1`. `vm page` shows where the page is.\n\
         A page with several users stays where it is, and the node gets a replica of it.\n"),
    entry("numa", "shake", Takes::Seconds, "move random pages of all virtual machines: a test",
        "As fast as it can: to nodes and back, with replicas and without, for so many seconds; 0 ends it.\n"),
    entry("numa", "", Takes::Json, "each node: misses, moves, and the time they took",
        "LOCAL and REMOTE are samples of misses of the node's CPUs in its own memory and in others'. MIGRATED and\n\
         REPLICATED are pages that came to the node, COLLAPSED pages of it that lost their replicas to a write; SPENT is\n\
         the time its CPUs took for moves. Behind them: how often hot pages were moved or left, by reason.\n"),
    entry("disk", "", Takes::Json, "each virtual disk: its mode, what of it is in memory, who has it",
        "One line for each virtual machine that has it, and one for the disk: pages of the cache that all share, and\n\
         how many of the blocks read were there. PRIVATE: sectors that a virtual machine has written for itself.\n"),
    entry("net", "", Takes::Json, "what each virtual machine and the gateway sent and received",
        "Two lines for each: messages and bytes; whole pages that were mapped, and bytes that were copied; messages\n\
         that there was no room or memory for. What the gateway has sent came from outside.\n"),
    entry("devices", "", Takes::Json, "the real disk and network card, and what they did",
        "REQUESTS are transfers, or frames sent; ERRORS transfers that failed, or what came and was no frame.\n"),
    entry("stats", "", Takes::Json, "counters of every CPU and virtual machine", ""),
    entry("check", "", Takes::Json, "audit the monitor's invariants", ""),
    entry("poweroff", "", Takes::Nothing, "end every virtual machine and the machine", ""),
];

impl Display for Entry {
    /// How the command is typed.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(self.first)?;
        if !self.second.is_empty() {
            write!(out, " {}", self.second)?;
        }
        out.write_str(self.takes.text())
    }
}

/// Why a line is no command. It displays as what a person needs to correct it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError<'a> {
    /// There is no such command: its words as far as they were looked at.
    Unknown(&'a str, &'a str),
    /// A name has to follow.
    NameMissing(&'static Entry),
    /// An address has to follow.
    AddressMissing(&'static Entry),
    /// A number has to follow.
    NumberMissing(&'static Entry),
    /// This word is no number.
    NoNumber(&'static Entry, &'a str),
    /// This word is no number of pages.
    NoCount(&'static Entry, &'a str),
    /// This word is no address.
    NoAddress(&'static Entry, &'a str),
    /// This word is too much.
    TooMuch(&'static Entry, &'a str),
}

impl Display for ParseError<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unknown(first, second) => {
                let space = if second.is_empty() { "" } else { " " };
                write!(out, "no command `{first}{space}{second}`; ")?;
                match closest(first, second) {
                    Some(entry) => write!(out, "did you mean `{entry}`? "),
                    None if first == "vm" => {
                        out.write_str("`vm` needs list, info, page, console, stop or start; ")
                    }
                    None => Ok(()),
                }?;
                out.write_str("`help` lists the commands")
            }
            Self::NameMissing(entry) => write!(
                out,
                "`{} {}` needs the name of a virtual machine: `{entry}`; `vm list` shows the names",
                entry.first, entry.second
            ),
            Self::AddressMissing(entry) => {
                write!(
                    out,
                    "`{} {}` needs an address: `{entry}`",
                    entry.first, entry.second
                )
            }
            Self::NumberMissing(entry) => write!(
                out,
                "`{} {}` needs a number: `{entry}`",
                entry.first, entry.second
            ),
            Self::NoNumber(entry, word) => {
                write!(out, "`{word}` is no number; the command is `{entry}`")
            }
            Self::NoCount(entry, word) => write!(
                out,
                "`{word}` is no number from 1 to {KEPT_MAX}; the command is `{entry}`"
            ),
            Self::NoAddress(entry, word) => write!(
                out,
                "`{word}` is no address in hexadecimal; the command is `{entry}`"
            ),
            Self::TooMuch(entry, word) => {
                write!(out, "`{word}` is too much here; the command is `{entry}`")
            }
        }
    }
}

/// Parses a line; nothing for an empty one.
pub fn parse(line: &str) -> Result<Option<Command<&str>>, ParseError<'_>> {
    let mut words = line.split_ascii_whitespace();
    let Some(first) = words.next() else {
        return Ok(None);
    };
    let mut rest = words.clone();
    let second = rest.next().unwrap_or("");
    let found = ENTRIES.iter().position(|entry| {
        entry.first == first && (entry.second.is_empty() || entry.second == second)
    });
    let Some(index) = found else {
        let second = if first == "vm" { second } else { "" };
        return Err(ParseError::Unknown(first, second));
    };
    let entry = &ENTRIES[index];
    if !entry.second.is_empty() {
        words = rest;
    }
    if entry.takes == Takes::Words {
        return help_about(words);
    }
    let (mut name, mut address, mut number) = (None, None, None);
    let mut count = 20;
    let mut format = Format::Text;
    for word in words {
        let takes = entry.takes;
        if takes.has_json() && word == "--json" {
            format = Format::Json;
        } else if takes.has_vm() && name.is_none() && !word.starts_with('-') {
            name = Some(word);
        } else if takes.has_address() && address.is_none() && !word.starts_with('-') {
            address = Some(parse_address(word).ok_or(ParseError::NoAddress(entry, word))?);
        } else if takes == Takes::CountAndJson && number.is_none() && !word.starts_with('-') {
            let parsed = word.parse::<u16>().ok();
            let parsed = parsed.filter(|count| (1..=KEPT_MAX).contains(&usize::from(*count)));
            count = parsed.ok_or(ParseError::NoCount(entry, word))?;
            number = Some(count.into());
        } else if takes.has_number() && number.is_none() && !word.starts_with('-') {
            let parsed = word.parse::<u64>();
            number = Some(parsed.map_err(|_| ParseError::NoNumber(entry, word))?);
        } else {
            return Err(ParseError::TooMuch(entry, word));
        }
    }
    let named = || name.ok_or(ParseError::NameMissing(entry));
    let address = || address.ok_or(ParseError::AddressMissing(entry));
    let number = || number.ok_or(ParseError::NumberMissing(entry));
    Ok(Some(match (entry.first, entry.second) {
        ("vm", "list") => Command::VmList(format),
        ("vm", "info") => Command::VmInfo(named()?, format),
        ("vm", "page") => Command::VmPage(named()?, address()?, format),
        ("vm", "console") => Command::VmConsole(named()?),
        ("vm", "stop") => Command::VmStop(named()?),
        ("vm", "start") => Command::VmStart(named()?),
        ("cpus", _) => Command::Cpus(format),
        ("mem", "page") => Command::MemPage(address()?, format),
        ("mem", _) => Command::Mem(format),
        ("numa", "shake") => Command::NumaShake(number()?),
        ("numa", "move") => Command::NumaMove(named()?, address()?, number()?),
        ("numa", "top") => Command::NumaTop(count, format),
        ("numa", _) => Command::Numa(format),
        ("disk", _) => Command::Disk(format),
        ("net", _) => Command::Net(format),
        ("devices", _) => Command::Devices(format),
        ("stats", _) => Command::Stats(format),
        ("check", _) => Command::Check(format),
        _ => Command::PowerOff,
    }))
}

/// An address in hexadecimal, with or without `0x`.
fn parse_address(word: &str) -> Option<u64> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    // `from_str_radix` would take a sign.
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16).ok().filter(|_| plain)
}

fn help_about<'a>(
    mut words: impl Iterator<Item = &'a str>,
) -> Result<Option<Command<&'a str>>, ParseError<'a>> {
    let Some(first) = words.next() else {
        return Ok(Some(Command::Help(None)));
    };
    let second = words.next().unwrap_or("");
    let about = ENTRIES
        .iter()
        .find(|entry| entry.first == first && (second.is_empty() || entry.second == second));
    match about {
        Some(entry) => Ok(Some(Command::Help(Some(entry)))),
        None => Err(ParseError::Unknown(first, second)),
    }
}

/// Writes the help text: everything, or what is about `entry` (all of `vm …` for any of them).
pub fn help(about: Option<&'static Entry>, out: &mut dyn Write) -> fmt::Result {
    for entry in &ENTRIES {
        if about.is_none_or(|about| about.first == entry.first) {
            write!(out, "  {entry}")?;
            let second = match entry.second.len() {
                0 => 0,
                length => 1 + length,
            };
            for _ in entry.first.len() + second + entry.takes.text().len()..HELP_COLUMN {
                out.write_char(' ')?;
            }
            writeln!(out, "{}", entry.help)?;
        }
        if about.is_some_and(|about| about.first == entry.first) {
            out.write_str(entry.more)?;
        }
    }
    match about {
        None => out.write_str("Ctrl-] leaves a virtual machine's console; Ctrl-D on an empty line leaves this prompt.\n"),
        Some(_) => Ok(()),
    }
}

/// Widest command and the space behind it.
const HELP_COLUMN: usize = 30;

/// Calls `found` with every word that may stand where `before` (the line before the cursor) ends,
/// and begins as its last word does. `name` gives the virtual machines' names by number.
/// Returns the length of that last word.
pub fn complete<'n>(
    before: &str,
    names: &mut dyn Iterator<Item = &'n str>,
    found: &mut dyn FnMut(&str),
) -> usize {
    let start = before
        .bytes()
        .rposition(|byte| byte == b' ')
        .map_or(0, |space| space + 1);
    // `split_at` would bring in the message of its panic, which is longer than this module's help.
    let (done, word) = before.split_at_checked(start).unwrap_or(("", before));
    let mut words = done.split_ascii_whitespace();
    let (first, second, third) = (words.next(), words.next(), words.next());
    let mut offer = |candidate: &str| {
        if candidate.starts_with(word) {
            found(candidate);
        }
    };
    match (first, second, third) {
        (None, ..) | (Some("help"), None, _) => {
            let mut last = "";
            for entry in &ENTRIES {
                if entry.first != core::mem::replace(&mut last, entry.first) {
                    offer(entry.first);
                }
            }
        }
        (Some("vm"), None, _) | (Some("help"), Some("vm"), None) => {
            for entry in ENTRIES.iter().filter(|entry| entry.first == "vm") {
                offer(entry.second);
            }
        }
        (Some("mem"), None, _) => offer("page"),
        (Some("numa"), None, _) => {
            let behind = |entry: &&Entry| entry.first == "numa" && !entry.second.is_empty();
            for entry in ENTRIES.iter().filter(behind) {
                offer(entry.second);
            }
        }
        (Some("numa"), Some("move"), None) => names.for_each(offer),
        (Some("vm"), Some("info" | "page" | "console" | "stop" | "start"), None) => {
            names.for_each(offer)
        }
        _ => {}
    }
    word.len()
}

/// The command most like these words, if one is like them at all.
fn closest(first: &str, second: &str) -> Option<&'static Entry> {
    let difference = |entry: &Entry| {
        distance(first, entry.first) + distance(second, entry.second).min(MISSPELT + 1)
    };
    let known = |entry: &&Entry| second.is_empty() == entry.second.is_empty();
    let best = ENTRIES
        .iter()
        .filter(known)
        .min_by_key(|entry| difference(entry));
    // A word that nobody finished: `power` is more unlike `poweroff` than misspelt words are.
    let begun = |entry: &&Entry| {
        entry.second.is_empty()
            && second.is_empty()
            && first.len() > 1
            && entry.first.starts_with(first)
    };
    // Of two letters, one has to be right.
    let limit = MISSPELT.min((first.len() + second.len()) / 2);
    let behind = |entry: &&Entry| second.is_empty() && entry.second == first;
    best.filter(|entry| difference(entry) == 0)
        .or_else(|| ENTRIES[HELP + 1..].iter().find(behind))
        .or(best.filter(|entry| difference(entry) <= limit))
        .or_else(|| ENTRIES.iter().find(begun))
}

/// Wrong, missing or superfluous letters in a word that is still recognized.
const MISSPELT: usize = 2;

/// Longest word whose letters are compared.
const WORD_MAX: usize = 12;

/// Letters to insert, remove or replace to turn one word into the other.
fn distance(one: &str, other: &str) -> usize {
    if one.len() > WORD_MAX || other.len() > WORD_MAX {
        return WORD_MAX;
    }
    let mut row: [usize; WORD_MAX + 1] = core::array::from_fn(|index| index);
    for (line, a) in one.bytes().enumerate() {
        let mut diagonal = core::mem::replace(&mut row[0], line + 1);
        for (column, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(line: &str) -> String {
        parse(line).unwrap_err().to_string()
    }

    #[test]
    fn every_command_is_understood() {
        let all: [(&str, Command<&str>); 26] = [
            ("vm list", Command::VmList(Format::Text)),
            ("  vm   list  --json ", Command::VmList(Format::Json)),
            ("vm info a", Command::VmInfo("a", Format::Text)),
            ("vm info --json a", Command::VmInfo("a", Format::Json)),
            ("vm console a", Command::VmConsole("a")),
            ("vm stop a", Command::VmStop("a")),
            ("vm start a", Command::VmStart("a")),
            ("cpus --json", Command::Cpus(Format::Json)),
            ("mem", Command::Mem(Format::Text)),
            ("mem --json", Command::Mem(Format::Json)),
            ("mem page 0x8Abc", Command::MemPage(0x8abc, Format::Text)),
            (
                "vm page a 4000 --json",
                Command::VmPage("a", 0x4000, Format::Json),
            ),
            ("numa", Command::Numa(Format::Text)),
            ("numa --json", Command::Numa(Format::Json)),
            ("numa top", Command::NumaTop(20, Format::Text)),
            ("numa top 150 --json", Command::NumaTop(150, Format::Json)),
            ("numa top --json 1", Command::NumaTop(1, Format::Json)),
            ("numa move a 1c000 1", Command::NumaMove("a", 0x1c000, 1)),
            ("numa shake 5", Command::NumaShake(5)),
            ("disk", Command::Disk(Format::Text)),
            ("net --json", Command::Net(Format::Json)),
            ("devices --json", Command::Devices(Format::Json)),
            ("stats", Command::Stats(Format::Text)),
            ("check --json", Command::Check(Format::Json)),
            ("poweroff", Command::PowerOff),
            ("help", Command::Help(None)),
        ];
        for (line, command) in all {
            assert_eq!(parse(line), Ok(Some(command)), "{line}");
        }
        assert_eq!(parse("   "), Ok(None));
    }

    #[test]
    fn errors_name_the_word_and_the_way_out() {
        assert_eq!(
            error("vm lst"),
            "no command `vm lst`; did you mean `vm list [--json]`? `help` lists the commands"
        );
        assert!(error("pwoeroff").contains("did you mean `poweroff`"));
        assert!(error("power").contains("did you mean `poweroff`"));
        assert!(error("list").contains("did you mean `vm list"));
        assert!(error("vm").contains("`vm` needs list, info, page, console, stop or start"));
        assert!(error("frobnicate").starts_with("no command `frobnicate`; `help`"));
        assert!(error("vm stop").contains("`vm stop` needs the name"));
        assert!(error("vm stop a b").contains("`b` is too much"));
        assert!(error("poweroff --json").contains("`--json` is too much"));
        assert!(error("vm info a --jsn").contains("`--jsn` is too much"));
        assert!(error("mem page").contains("`mem page` needs an address: `mem page ADDRESS"));
        assert!(error("vm page a").contains("needs an address"));
        assert!(error("vm page").contains("needs the name"));
        assert!(error("mem page +1").contains("`+1` is no address in hexadecimal"));
        assert!(error("mem page 0x").contains("`0x` is no address"));
        assert!(error("mem page 10000000000000000").contains("is no address"));
        assert!(error("mem page 1 2").contains("`2` is too much"));
        assert!(error("numa top 151").contains("`151` is no number from 1 to 150"));
        assert!(error("numa top 0").contains("`0` is no number from 1 to 150"));
        assert!(error("numa top 20 30").contains("`30` is too much"));
        assert!(error("numa move a 4000").contains("`numa move` needs a number"));
        assert!(error("top").contains("did you mean `numa top [N] [--json]`"));
        assert!(error("help nothing").starts_with("no command `nothing`"));
    }

    #[test]
    fn help_is_aligned_and_complete() {
        let mut text = String::new();
        help(None, &mut text).unwrap();
        for entry in &ENTRIES {
            let line = text
                .lines()
                .find(|line| line.contains(&entry.to_string()))
                .unwrap();
            assert_eq!(line.find(entry.help), Some(32), "{line}");
        }
        let Ok(Some(Command::Help(about))) = parse("help vm") else {
            panic!()
        };
        let mut text = String::new();
        help(about, &mut text).unwrap();
        assert!(text.contains("vm console NAME") && text.contains("Ctrl-] leaves"));
        assert!(!text.contains("poweroff"));
    }

    #[test]
    fn words_are_completed() {
        let offers = |before: &str| {
            let mut found = Vec::new();
            let mut names = ["alpha", "beta"].into_iter();
            complete(before, &mut names, &mut |word| found.push(word.to_string()));
            found
        };
        assert_eq!(offers("v"), ["vm"]);
        assert_eq!(offers("vm st"), ["stop", "start"]);
        assert_eq!(offers("vm console "), ["alpha", "beta"]);
        assert_eq!(offers("vm stop b"), ["beta"]);
        assert_eq!(offers("mem "), ["page"]);
        assert_eq!(offers("numa "), ["top", "move", "shake"]);
        assert_eq!(offers("numa move b"), ["beta"]);
        assert_eq!(offers("vm page a"), ["alpha"]);
        assert_eq!(offers("help c"), ["cpus", "check"]);
        assert!(offers("vm list a").is_empty());
    }

    proptest! {
        #[test]
        fn distance_is_a_metric(a in "[a-d]{0,12}", b in "[a-d]{0,12}", c in "[a-d]{0,12}") {
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert_eq!(distance(&a, &b) == 0, a == b);
            prop_assert!(distance(&a, &c) <= distance(&a, &b) + distance(&b, &c));
        }

        #[test]
        fn any_line_is_parsed_or_explained(line in "(vm|help|cpus|stop|list|--json|[ -~]{0,9}| ){0,6}") {
            if let Err(error) = parse(&line) {
                prop_assert!(error.to_string().contains('`'));
            }
        }
    }
}
