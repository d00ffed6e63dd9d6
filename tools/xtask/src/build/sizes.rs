//! What the monitor takes of memory: by section, and by module of what each node has a copy of.

use anyhow::{ensure, Context, Result};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The most that what each node has a copy of may take, in bytes.
const BUDGET: u64 = 128 << 10;
/// Our crates, as mangled names have them.
const CRATES: [&str; 3] = ["12disco_kernel", "10disco_arch", "10disco_boot"];

/// Prints what the monitor's parts take.
///
/// # Errors
/// What each node has a copy of is more than it may be.
pub fn report(elf: &[u8]) -> Result<()> {
    let file = object::File::parse(elf)?;
    let shared = file.symbol_by_name("__shared_start");
    let shared = shared.context("the monitor has no part that exists once")?;
    let sections = sections(&file);
    let mut copied = 0;
    for section in &sections {
        let is_copied = section.address() < shared.address();
        let copies = if is_copied {
            "a copy for each node"
        } else {
            ""
        };
        let (size, name) = (section.size(), section.name()?);
        copied += if is_copied { size } else { 0 };
        println!("{size:>10}  {name:<14}{copies}");
    }
    println!("\nof each node's copy, by module:");
    let mut modules: Vec<_> = by_module(&file, shared.address()).into_iter().collect();
    modules.sort_by_key(|(_, size)| Reverse(*size));
    for (module, size) in modules {
        println!("{size:>10}  {module}");
    }
    println!("\n{copied:>10}  for each node, of {BUDGET}");
    ensure!(
        copied <= BUDGET,
        "what each node has a copy of is {} bytes over its {BUDGET}: see which module has grown; what no trap of a guest \
         needs regularly is to exist once (`#[cold]`, or linker.ld)",
        copied - BUDGET
    );
    Ok(())
}

/// The sections that take memory when the monitor runs, in order of their addresses.
fn sections<'a>(file: &'a object::File<'a>) -> Vec<object::Section<'a, 'a>> {
    use object::elf::SHF_ALLOC;
    let mut sections: Vec<_> = file
        .sections()
        .filter(|section| match section.flags() {
            object::SectionFlags::Elf { sh_flags, .. } => sh_flags.0 & SHF_ALLOC.0 != 0,
            _ => false,
        })
        .collect();
    sections.sort_by_key(ObjectSection::address);
    sections
}

/// Bytes below `end` of what has a name, by module.
fn by_module(file: &object::File, end: u64) -> BTreeMap<String, u64> {
    let mut modules = BTreeMap::new();
    // Functions that are the same have one address.
    let mut seen = std::collections::BTreeSet::new();
    for symbol in file.symbols() {
        let is_sized = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data);
        if !is_sized || symbol.size() == 0 || symbol.address() >= end {
            continue;
        }
        if seen.insert(symbol.address()) {
            let module = module_of(symbol.name().unwrap_or(""));
            *modules.entry(module).or_insert(0) += symbol.size();
        }
    }
    modules
}

/// The module that a mangled name (Rust's "v0") begins with: `vm::pmap`, `arch::tlb`, or where the code comes from.
fn module_of(name: &str) -> String {
    let ours = CRATES
        .iter()
        .filter_map(|known| Some((name.find(known)?, known.len())))
        .min();
    let Some((place, length)) = ours else {
        let is_rust = name.starts_with("_R");
        return if is_rust { "core" } else { "assembly, memcpy" }.to_owned();
    };
    let mut path = Vec::new();
    let mut rest = &name[place + length..];
    while let Some((word, behind)) = identifier(rest) {
        // Functions and types are not modules; the vectors' and so on are in one.
        if path.len() < 2 && word.chars().all(|c| !c.is_uppercase()) {
            path.push(word);
        }
        rest = behind;
    }
    let krate = name[place..].trim_start_matches(|c: char| c.is_ascii_digit());
    let krate = if krate.starts_with("disco_arch") {
        "arch"
    } else if krate.starts_with("disco_boot") {
        "boot"
    } else {
        ""
    };
    match (krate, path.as_slice()) {
        ("", []) => "kernel".to_owned(),
        ("", path) => path.join("::"),
        (krate, [module, ..]) => format!("{krate}::{module}"),
        (krate, []) => krate.to_owned(),
    }
}

/// The identifier, its length in front of it, that `mangled` begins with, and what follows.
fn identifier(mangled: &str) -> Option<(&str, &str)> {
    let digits = mangled.find(|c: char| !c.is_ascii_digit())?;
    let length: usize = mangled[..digits].parse().ok()?;
    if length == 0 {
        return None;
    }
    let text = mangled[digits..]
        .strip_prefix('_')
        .unwrap_or(&mangled[digits..]);
    text.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::module_of;

    #[test]
    fn names_tell_their_module() {
        let known = [
            ("_RINvMNtNtCsxL_12disco_kernel2vm7mappingNtNtB5_4vcpu4Vcpu11fill_linearNtNtB7_7monitorE", "vm::mapping"),
            ("_RNvMs_NtNtCsxL_12disco_kernel7monitor3cpuNtB4_3Cpu4trap", "monitor::cpu"),
            ("_RNvMs0_NtCsxL_12disco_kernel7machineNtB5_7Machine7reclaim", "machine"),
            ("_RNvNtCsab_10disco_boot5start8cpu_main", "boot::start"),
            ("_RNvXs_NtNtNtCs6q_4core4iter8adapters3mapINtNtCsxL_12disco_kernel8schedule5queueE", "schedule::queue"),
            ("_RNvNtNtCs6q_4core5slice5index16slice_index_fail", "core"),
            ("disco_enter", "assembly, memcpy"),
        ];
        for (name, module) in known {
            assert_eq!(module_of(name), module, "{name}");
        }
    }
}
