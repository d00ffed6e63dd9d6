//! What is read, what is refused, and where the error is said to be.

use super::{Guest, Machine};
use std::path::Path;

fn parse(text: &str) -> Result<Machine, String> {
    Machine::parse("m.toml", Path::new("/nowhere"), text).map_err(|wrong| wrong.to_string())
}

/// The error of a description that must have one.
fn wrong(text: &str) -> String {
    parse(text).expect_err("this description is wrong")
}

fn two_vms(hardware: &str, memory: &str) -> String {
    let vm =
        |name| format!("[[vm]]\nname = \"{name}\"\nguest = \"linux\"\nmemory = \"{memory}\"\n");
    format!("[hardware]\n{hardware}\n{}{}", vm("a"), vm("b"))
}

#[test]
fn the_default_machine_has_two_linux_on_two_nodes() {
    let machine = Machine::load(None).unwrap();
    assert_eq!((machine.cpus, machine.nodes), (2, 2));
    let names: Vec<_> = machine.vms.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!(names, ["alpha", "beta"]);
    assert!(machine
        .vms
        .iter()
        .all(|vm| vm.guest == Guest::Linux && vm.autostart));
}

#[test]
fn every_key_is_read() {
    let machine = parse(
        "[hardware]\ncpus = 4\nnodes = 2\nmemory = \"1G\"\nconsole = \"b\"\novercommit = true\n\
         [[vm]]\nname = \"a\"\nguest = \"linux\"\n\
         [[vm]]\nname = \"b\"\nguest = \"linux\"\ncpus = 1\nmemory = \"64M\"\ncmdline = \"quiet\"\nautostart = false\n",
    )
    .unwrap();
    assert_eq!(
        (machine.cpus, machine.nodes, machine.memory),
        (4, 2, 1 << 30)
    );
    assert_eq!(machine.console, Some(1));
    assert!(machine.overcommit);
    assert_eq!(machine.vms[1].memory, 64 << 20);
    assert_eq!(machine.vms[1].command_line, "quiet");
    assert!(!machine.vms[1].autostart);
}

#[test]
fn an_empty_file_is_a_machine_without_guests() {
    let machine = parse("").unwrap();
    assert!(machine.vms.is_empty());
}

#[test]
fn the_place_is_the_value() {
    assert!(wrong("[hardware]\n\n  cpus = 0\n").starts_with("m.toml:3:10: "));
    assert!(wrong("[hardware]\nmemory = 512\n").starts_with("m.toml:2:10: "));
    assert!(
        wrong("[[vm]]\nname = \"a\"\nguest = \"linux\"\nmemory = \"3M\"\n")
            .starts_with("m.toml:4:10: ")
    );
    assert!(
        wrong("[[vm]]\nname = \"a\"\nguest = \"linux\"\ncolour = 1\n").starts_with("m.toml:4:1: ")
    );
}

#[test]
fn linux_needs_more_memory_than_nothing() {
    assert!(
        wrong("[[vm]]\nname = \"a\"\nguest = \"linux\"\nmemory = \"16M\"\n")
            .contains("at least 32M")
    );
}

#[test]
fn together_more_than_the_machine_only_with_overcommit() {
    assert!(parse(&two_vms("memory = \"512M\"", "128M")).is_ok());
    assert!(wrong(&two_vms("memory = \"512M\"", "256M")).contains("overcommit = true"));
    assert!(parse(&two_vms("memory = \"512M\"\novercommit = true", "256M")).is_ok());
}

#[test]
fn names_and_command_lines_have_a_length() {
    let named = |name: &str| format!("[[vm]]\nname = \"{name}\"\nguest = \"linux\"\n");
    assert!(parse(&named(&"a".repeat(31))).is_ok());
    for name in ["", "A", "1a", "-a", "a b", "ä", &"a".repeat(32)] {
        assert!(wrong(&named(name)).contains("cannot be a name"), "{name:?}");
    }
    let with = |length| format!("{}cmdline = \"{}\"\n", named("a"), "x".repeat(length));
    assert!(parse(&with(1000)).is_ok());
    assert!(wrong(&with(1024)).starts_with("m.toml:4:11: cmdline has 1024 bytes"));
}

#[test]
fn no_more_virtual_machines_than_the_flash_describes() {
    let vms = |count: usize| -> String {
        let vm = |i| format!("[[vm]]\nname = \"v{i}\"\nguest = \"linux\"\nmemory = \"32M\"\n");
        (0..count).map(vm).collect()
    };
    let hardware = "[hardware]\novercommit = true\n";
    assert!(parse(&format!("{hardware}{}", vms(64))).is_ok());
    assert!(wrong(&format!("{hardware}{}", vms(65))).contains("too many"));
}

proptest::proptest! {
    #[test]
    fn any_text_gets_a_machine_or_one_line(text in "(?s).{0,200}") {
        if let Err(message) = parse(&text) {
            proptest::prop_assert_eq!(message.lines().count(), 1);
            proptest::prop_assert!(message.starts_with("m.toml:"));
        }
    }
}
