//! What is read, what is refused, and where the error is said to be.

use super::{Guest, Machine, Root};
use disco_abi::DiskMode;
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

#[test]
fn latencies_are_those_of_flash_unless_said_otherwise() {
    let numa = |text: &str| parse(text).unwrap().numa.encode();
    let flash = numa("");
    assert_eq!([0, 1].map(|to| flash.latency_ns(0, to)), [300, 900]);
    let three = numa(
        "[hardware]\ncpus = 3\nnodes = 3\n[numa]\nlocal_ns = 100\nremote_ns = 150\n\
         distances = [[0, 1, 2], [1, 0, 3], [2, 3, 0]]\n",
    );
    assert_eq!([0, 1, 2].map(|to| three.latency_ns(2, to)), [200, 250, 100]);
    // Local memory that is slower than FLASH's remote one: remote memory is as slow, then.
    assert_eq!(numa("[numa]\nlocal_ns = 1000\n").latency_ns(0, 1), 1000);
}

#[test]
fn distances_that_make_no_sense_are_refused_at_their_place() {
    for (distances, place, why) in [
        ("[[0, 1]]", "5:13", "a row for each node"),
        ("[[0, 1], [1]]", "5:22", "a number for each"),
        ("[[1, 1], [1, 0]]", "5:15", "a node is 0 from itself"),
        ("[[0, 0], [0, 0]]", "5:18", "1 to 16 from another"),
        ("[[0, 17], [17, 0]]", "5:18", "1 to 16 from another"),
        ("[[0, 1], [2, 0]]", "5:23", "the way back is 1"),
    ] {
        let error = wrong(&format!(
            "[hardware]\ncpus = 2\nnodes = 2\n[numa]\ndistances = {distances}\n"
        ));
        assert!(error.starts_with(&format!("m.toml:{place}: ")), "{error}");
        assert!(error.contains(why), "{error}");
    }
    assert!(wrong("[numa]\nlocal_ns = 0\n").contains("1 to 100000"));
    for events_ms in ["99", "60001", "-1", "4294967396"] {
        let message = wrong(&format!("[numa]\nevents_ms = {events_ms}\n"));
        assert!(
            message.contains("every 100 to 60000 milliseconds, or with 0 not at all"),
            "{message}"
        );
    }
    assert!(wrong("[numa]\nlocal_ns = 300\nremote_ns = 299\n").contains("at least local_ns"));
}

#[test]
fn memory_that_moves_is_switched_by_words_and_numbers() {
    let numa = |text: &str| parse(text).unwrap().numa.encode();
    let switches = |text: &str| {
        let numa = numa(text);
        [numa.magic_counters, numa.latency, numa.policy].map(|switch| switch.get())
    };
    assert_eq!(switches(""), [0, 0, 1]);
    assert_eq!(switches("[numa]\n"), [0, 1, 1]);
    let off = "[numa]\ncounters = \"magic\"\nlatency = \"off\"\npolicy = \"off\"\n";
    assert_eq!(switches(off), [1, 0, 0]);
    let thresholds = numa("[numa]\n[numa.thresholds]\ntrigger = 7\nwrite = 0\n").thresholds;
    assert_eq!(thresholds.trigger.get(), 7);
    assert_eq!(thresholds.write.get(), 0);
    assert_eq!(thresholds.rate.get(), disco_flash::NONE);
    for (text, place, why) in [
        (
            "counters = \"exact\"",
            "2:12",
            "must be \"sampled\" or \"magic\"",
        ),
        ("policy = \"yes\"", "2:10", "must be \"on\" or \"off\""),
        ("latency = \"\"", "2:11", "must be \"on\" or \"off\""),
        ("[numa.thresholds]\ntrigger = 0", "3:11", "1 to 60000"),
        ("[numa.thresholds]\nsharing = 1001", "3:11", "0 to 1000"),
    ] {
        let error = wrong(&format!("[numa]\n{text}\n"));
        assert!(error.starts_with(&format!("m.toml:{place}: ")), "{error}");
        assert!(error.contains(why), "{error}");
    }
    let magic = parse("[numa]\ncounters = \"magic\"\n").unwrap();
    let error = magic.encode().map(drop).unwrap_err().to_string();
    assert!(error.contains("say --magic"), "{error}");
}

/// Disks of every mode, and who has them.
const DISKS: &str = r#"
[[disk]]
name = "root"
image = "linux-root"
mode = "cow"

[[disk]]
name = "home"
size = "64M"
mode = "cow-persistent"
private = "16M"
log = "32M"

[[disk]]
name = "data"
size = "1G"
mode = "exclusive"

[[vm]]
name = "a"
guest = "linux"
disks = ["root", "home"]
net = true

[[vm]]
name = "b"
guest = "linux"
disks = ["data", "root"]
"#;

#[test]
fn disks_are_read() {
    let machine = parse(DISKS).unwrap();
    let disks: Vec<_> = machine
        .disks
        .iter()
        .map(|disk| (&*disk.name, disk.mode, disk.size, disk.private, disk.log))
        .collect();
    const M: u64 = 1 << 20;
    assert_eq!(
        disks,
        [
            ("root", DiskMode::Cow, None, 32 * M, 0),
            (
                "home",
                DiskMode::CowPersistent,
                Some(64 * M),
                16 * M,
                32 * M
            ),
            ("data", DiskMode::Exclusive, Some(1024 * M), 0, 0),
        ]
    );
    assert_eq!(machine.vms[0].disks, [0, 1]);
    assert_eq!(machine.vms[1].disks, [2, 0]);
    assert!(machine.vms[0].net && !machine.vms[1].net);
    assert!(machine.builds_linux());
}

#[test]
fn linux_has_its_root_on_a_first_disk_with_an_image() {
    let root = |text: &str| {
        let machine = parse(text).unwrap();
        machine.root_of(&machine.vms[0])
    };
    let disk =
        |mode| format!("[[disk]]\nname = \"d\"\nimage = \"linux-root\"\nmode = \"{mode}\"\n");
    let vm = "[[vm]]\nname = \"a\"\nguest = \"linux\"\ndisks = [\"d\"]\n";
    assert_eq!(root(&format!("{}{vm}", disk("shared"))), Root::Disk);
    assert_eq!(
        root(&format!("{}{vm}", disk("read-only"))),
        Root::ReadOnlyDisk
    );
    let empty = "[[disk]]\nname = \"d\"\nsize = \"1M\"\nmode = \"cow\"\n";
    assert_eq!(root(&format!("{empty}{vm}")), Root::Ramdisk);
    assert_eq!(
        root("[[vm]]\nname = \"a\"\nguest = \"linux\"\n"),
        Root::Ramdisk
    );
}

#[test]
fn disks_that_make_no_sense_are_refused_at_their_place() {
    let disk = |keys: &str| format!("[[disk]]\nname = \"d\"\n{keys}");
    for (keys, place, why) in [
        ("mode = \"cow\"", "1:1", "needs an image, or a size"),
        ("mode = \"cow\"\nsize = \"17K\"", "4:8", "a multiple of 16K"),
        ("mode = \"cow\"\nsize = \"0M\"", "4:8", "16K to 64G"),
        ("mode = \"cow\"\nsize = \"65G\"", "4:8", "16K to 64G"),
        (
            "mode = \"raw\"\nsize = \"1M\"",
            "3:8",
            "one of cow, cow-persistent,",
        ),
        (
            "mode = \"cow\"\nsize = \"1M\"\nlog = \"1M\"",
            "5:7",
            "only writes to a `cow-persistent` disk are logged",
        ),
        (
            "mode = \"shared\"\nsize = \"1M\"\nprivate = \"1M\"",
            "5:11",
            "has no `private`",
        ),
        (
            "mode = \"cow-persistent\"\nsize = \"1M\"\nlog = \"16K\"",
            "5:7",
            "1M to 64G",
        ),
        (
            "mode = \"cow\"\nimage = \"windows\"",
            "4:9",
            "there is no image `windows`",
        ),
        (
            "mode = \"cow\"\nimage = \"./windows\"",
            "4:9",
            "No such file",
        ),
    ] {
        let error = wrong(&disk(keys));
        assert!(error.starts_with(&format!("m.toml:{place}: ")), "{error}");
        assert!(error.contains(why), "{error}");
    }
    let twice = format!("{0}{0}", disk("mode = \"cow\"\nsize = \"1M\"\n"));
    assert!(wrong(&twice).contains("each needs its own name"));
    let vm = |disks| {
        let vm = format!("[[vm]]\nname = \"a\"\nguest = \"linux\"\ndisks = [{disks}]\n");
        format!("{}{vm}", disk("mode = \"cow\"\nsize = \"1M\"\n"))
    };
    assert!(wrong(&vm("\"d\", \"e\"")).contains("there is no disk `e`, only: d"));
    assert!(wrong(&vm("\"d\", \"d\"")).contains("stands here twice"));
}

#[test]
fn no_more_partitions_than_the_real_disk_has() {
    let disk = |i| format!("[[disk]]\nname = \"d{i}\"\nsize = \"1M\"\nmode = \"cow-persistent\"\n");
    let names: Vec<_> = (0..8).map(|i| format!("\"d{i}\"")).collect();
    let vm = |i| {
        let names = names.join(", ");
        format!("[[vm]]\nname = \"v{i}\"\nguest = \"linux\"\nmemory = \"32M\"\ndisks = [{names}]\n")
    };
    let machine = |vms| {
        let disks: String = (0..8).map(disk).collect();
        let vms: String = (0..vms).map(vm).collect();
        format!("[hardware]\novercommit = true\n{disks}{vms}")
    };
    assert!(parse(&machine(15)).is_ok());
    assert!(wrong(&machine(16)).contains("136 partitions"));
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
