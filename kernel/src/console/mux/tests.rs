//! The multiplexer as its users see it: bytes in, bytes out.

use core::fmt::Write;

use proptest::prelude::*;

use super::super::command::{Command, Format};
use super::super::guest::{GuestConsole, HISTORY_BYTES, INPUT_BYTES};
use super::super::lines::is_harmless;
use super::*;

const SECOND: u64 = 1_000_000_000;

/// Runs `body` with a console of guests of these names.
fn with_mux<T>(names: &[&str], body: impl FnOnce(&mut Mux<'_>) -> T) -> T {
    let mut guests: Vec<_> = names
        .iter()
        .map(|name| Box::new(GuestConsole::new(name)))
        .collect();
    let mut mux = Box::new(Mux::new());
    for (vm, guest) in guests.iter_mut().enumerate() {
        mux.add_guest(vm, guest);
    }
    body(&mut mux)
}

/// All that leaves, to a transmitter that takes 16 bytes at once.
fn drain_bytes(mux: &mut Mux<'_>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 16];
    loop {
        let count = mux.uart_take(&mut buffer);
        if count == 0 {
            return all;
        }
        all.extend(&buffer[..count]);
    }
}

fn drain(mux: &mut Mux<'_>) -> String {
    String::from_utf8_lossy(&drain_bytes(mux)).into_owned()
}

/// Types bytes that are all wanted at once.
fn receive(mux: &mut Mux<'_>, bytes: &[u8]) {
    for &byte in bytes {
        assert!(mux.can_receive(), "before {:?}", char::from(byte));
        mux.uart_received(byte);
    }
}

fn read(mux: &mut Mux<'_>, vm: usize) -> Vec<u8> {
    let mut buffer = [0; INPUT_BYTES];
    let mut all = Vec::new();
    loop {
        let count = mux.guest_read(vm, &mut buffer);
        if count == 0 {
            return all;
        }
        all.extend(&buffer[..count]);
    }
}

/// Attaches to `vm` and throws away what that shows.
fn attach(mux: &mut Mux<'_>, vm: usize) {
    assert!(mux.attach(vm));
    drain(mux);
}

#[test]
fn whole_lines_have_their_guests_name() {
    with_mux(&["alpha", "beta"], |mux| {
        assert_eq!(mux.guest_write(0, b"hel"), 3);
        assert_eq!(mux.guest_write(1, b"one\n"), 4);
        assert_eq!(drain(mux), "[beta] one\r\n");
        mux.guest_write(0, b"lo\r\nunfinished");
        assert_eq!(drain(mux), "[alpha] hello\r\n");
        mux.guest_ended(0);
        mux.notice(format_args!("alpha has ended: {}", "panic\x1b[2J\nx"));
        assert_eq!(
            drain(mux),
            "disco: alpha has ended: panic^[[2J\r\ndisco: x\r\n[alpha] unfinished\r\n"
        );
    });
}

#[test]
fn the_prompt_appears_on_enter_and_goes_below_lines() {
    with_mux(&["alpha"], |mux| {
        mux.guest_write(0, b"before\n");
        assert_eq!(drain(mux), "[alpha] before\r\n");
        receive(mux, b"\r\n");
        assert_eq!(drain(mux), "\r\x1b[Kdisco> ");
        receive(mux, b"vm li");
        assert_eq!(drain(mux), "vm li");
        mux.guest_write(0, b"a\nb\n");
        assert_eq!(
            drain(mux),
            "\r\x1b[K[alpha] a\r\n[alpha] b\r\n\r\x1b[Kdisco> vm li"
        );
        receive(mux, b"st --json\r");
        assert!(!mux.can_receive(), "a command waits");
        assert_eq!(mux.take_command(), Some(Command::VmList(Format::Json)));
        assert_eq!(mux.take_command(), None);
    });
}

#[test]
fn an_answer_is_not_torn_apart() {
    with_mux(&["alpha"], |mux| {
        receive(mux, b"mem\n");
        drain(mux);
        assert!(mux.take_command().is_some());
        mux.guest_write(0, b"line\n");
        mux.answer().unwrap().write_str("first\n").unwrap();
        assert_eq!(drain(mux), "first\r\n");
        assert!(!mux.can_receive());
        mux.answer().unwrap().write_str("second\n").unwrap();
        mux.command_done();
        assert_eq!(drain(mux), "second\r\n[alpha] line\r\n\r\x1b[Kdisco> ");
        assert!(mux.can_receive());
    });
}

#[test]
fn an_answer_goes_on_when_the_serial_line_takes_bytes_and_none_of_it_is_lost() {
    with_mux(&[], |mux| {
        receive(mux, b"stats\n");
        drain(mux);
        let rows: Vec<String> = (0..500)
            .map(|row| format!("row {row} {}\n", "x".repeat(row * 4 % 1500)))
            .collect();
        let (mut shown, mut executed) = (String::new(), 0);
        while !mux.can_receive() {
            if let Some(command) = mux.take_command() {
                assert_eq!(command, Command::Stats(Format::Text));
                assert_eq!(mux.take_command(), None, "it is being executed");
                executed += 1;
                for row in &rows {
                    if let Some(mut terminal) = mux.answer() {
                        terminal.write_str(row).unwrap();
                    }
                }
                mux.command_done();
                let stands_still = mux.take_command();
                assert!(stands_still.is_none(), "nothing has been sent meanwhile");
            }
            let mut buffer = [0; 64];
            let count = mux.uart_take(&mut buffer);
            shown.push_str(core::str::from_utf8(&buffer[..count]).unwrap());
        }
        shown.push_str(&drain(mux));
        let shown = shown.replace('\r', "");
        assert_eq!(shown, rows.concat() + "\u{1b}[Kdisco> ");
        assert!(executed > 10);
    });
}

#[test]
fn an_answer_that_has_to_be_found_first_is_shown_once_it_is() {
    with_mux(&[], |mux| {
        receive(mux, b"numa top 3\n");
        drain(mux);
        for round in 0..4 {
            assert_eq!(mux.take_command(), Some(Command::NumaTop(3, Format::Text)));
            assert_eq!(mux.is_fresh(), round == 0);
            mux.answer_later();
            mux.command_done();
            assert_eq!(drain(mux), "");
            assert!(!mux.can_receive());
        }
        assert!(mux.take_command().is_some() && !mux.is_fresh());
        mux.answer().unwrap().write_str("found\n").unwrap();
        mux.command_done();
        assert_eq!(drain(mux), "found\r\n\r\x1b[Kdisco> ");
        receive(mux, b"numa\n");
        assert!(mux.take_command().is_some() && mux.is_fresh());
    });
}

#[test]
fn piped_commands_wait_for_each_other() {
    with_mux(&["alpha"], |mux| {
        let mut pipe = b"vm list\ncpus\nnonsense\nvm stop alpha\nvm stop gamma\npoweroff\n".iter();
        let mut commands = Vec::new();
        let mut shown = String::new();
        loop {
            while mux.can_receive() {
                let Some(&byte) = pipe.next() else { break };
                mux.uart_received(byte);
                shown.push_str(&drain(mux));
            }
            let Some(command) = mux.take_command() else {
                break;
            };
            commands.push(command);
            mux.command_done();
        }
        assert_eq!(
            commands,
            [
                Command::VmList(Format::Text),
                Command::Cpus(Format::Text),
                Command::VmStop(0),
                Command::PowerOff
            ]
        );
        assert!(shown.contains("no command `nonsense`"));
        assert!(shown.contains("no virtual machine `gamma`"));
    });
}

#[test]
fn attaching_replays_what_was_printed_and_is_raw() {
    with_mux(&["alpha", "beta"], |mux| {
        mux.guest_write(0, b"boot\r\n\x1b[1m/ # ");
        drain(mux);
        receive(mux, b"vm console alpha\r\n");
        assert_eq!(mux.view(), View::Attached(0));
        assert!(drain(mux).ends_with("Ctrl-] leaves)\r\nboot\r\n\x1b[1m/ # "));
        assert_eq!(read(mux, 0), b"", "the line feed belongs to the command");
        receive(mux, b"ls\x1b[A\x03\r\n");
        assert!(mux.guest_input_waiting(0) && !mux.guest_input_waiting(1));
        assert_eq!(read(mux, 0), b"ls\x1b[A\x03\r\n");
        mux.guest_write(0, b"\x1b[2J\xff");
        let mut raw = [0; 64];
        assert_eq!(mux.uart_take(&mut raw), 5);
        assert_eq!(&raw[..5], b"\x1b[2J\xff");
    });
}

#[test]
fn attaching_again_shows_only_what_is_new_and_the_guests_prompt() {
    with_mux(&["alpha"], |mux| {
        mux.guest_write(0, b"old\r\n/ # ");
        attach(mux, 0);
        mux.detach();
        drain(mux);
        mux.attach(0);
        assert!(drain(mux).ends_with("leaves)\r\n/ # "));
        mux.detach();
        mux.guest_write(0, b"new\r\n");
        drain(mux);
        mux.attach(0);
        assert!(drain(mux).ends_with("leaves)\r\nnew\r\n"));
    });
}

#[test]
fn a_bounded_replay_begins_with_a_whole_line() {
    with_mux(&["alpha"], |mux| {
        for number in 0..2000 {
            mux.guest_write(0, format!("line {number}\r\n").as_bytes());
            drain(mux);
        }
        mux.attach(0);
        let shown = drain(mux);
        let replay = shown.split_once("leaves)\r\n").unwrap().1;
        assert!(replay.starts_with("line 1"), "{}", &replay[..20]);
        assert!(replay.ends_with("line 1999\r\n"));
        assert!(replay.len() > HISTORY_BYTES - 20 && replay.len() <= HISTORY_BYTES);
    });
}

#[test]
fn other_guests_are_silent_but_not_stopped_while_one_is_attached() {
    with_mux(&["alpha", "beta"], |mux| {
        attach(mux, 0);
        for _ in 0..3000 {
            assert_eq!(mux.guest_write(1, b"flood\n"), 6);
        }
        mux.notice(format_args!("something"));
        assert_eq!(drain(mux), "");
        mux.detach();
        let shown = drain(mux);
        assert!(shown.contains("disco: something\r\n"));
        assert!(shown.contains("disco: beta printed 3000 lines meanwhile"));
        assert!(!shown.contains("[beta]"));
    });
}

#[test]
fn a_person_detaches_with_one_key_and_sends_it_with_two() {
    with_mux(&["alpha"], |mux| {
        attach(mux, 0);
        mux.tick(SECOND);
        receive(mux, b"a\x1d\x1db");
        assert_eq!(read(mux, 0), b"a\x1db");
        mux.tick(3 * SECOND);
        assert_eq!(mux.view(), View::Attached(0));
        receive(mux, b"\x1d");
        mux.tick(3 * SECOND + TWICE_NS - 1);
        assert_eq!(mux.view(), View::Attached(0));
        mux.tick(3 * SECOND + TWICE_NS);
        assert_eq!(mux.view(), View::Prompt);
        assert!(drain(mux).ends_with("(left alpha)\r\n\r\x1b[Kdisco> "));
    });
}

#[test]
fn a_pipe_detaches_when_the_guest_has_answered() {
    with_mux(&["alpha"], |mux| {
        attach(mux, 0);
        mux.guest_ready(0);
        receive(mux, b"uname\n\x1dp");
        assert!(!mux.can_receive(), "the rest stays in the pipe");
        mux.tick(20 * SECOND);
        assert_eq!(mux.view(), View::Attached(0), "the guest has not read");
        assert_eq!(read(mux, 0), b"uname\n");
        mux.tick(20 * SECOND + SECOND / 2);
        mux.guest_write(0, b"Linux\r\n");
        mux.tick(21 * SECOND);
        assert_eq!(mux.view(), View::Attached(0), "it may go on");
        assert_eq!(drain(mux), "Linux\r\n");
        mux.tick(22 * SECOND);
        assert_eq!(mux.view(), View::Prompt);
        receive(mux, b"oweroff\n");
        assert_eq!(mux.take_command(), Some(Command::PowerOff));
    });
}

#[test]
fn a_guest_that_floods_or_is_dead_cannot_keep_the_terminal() {
    with_mux(&["alpha"], |mux| {
        for reads in [true, false] {
            attach(mux, 0);
            let start = mux.now_ns;
            receive(mux, b"yes\n\x1dx");
            let mut seconds = 0;
            while mux.view() == View::Attached(0) {
                if reads {
                    read(mux, 0);
                    mux.guest_write(0, b"y\r\n");
                    drain(mux);
                }
                seconds += 1;
                mux.tick(start + seconds * SECOND);
                assert!(seconds <= 61);
            }
        }
    });
}

#[test]
fn input_is_kept_until_the_ring_is_full_and_then_left_in_the_uart() {
    with_mux(&["alpha"], |mux| {
        attach(mux, 0);
        let pipe: Vec<u8> = (0..3000u32).map(|n| b'a' + (n % 26) as u8).collect();
        let (mut sent, mut got) = (0, Vec::<u8>::new());
        while got.len() < pipe.len() {
            while sent < pipe.len() && mux.can_receive() {
                mux.uart_received(pipe[sent]);
                sent += 1;
            }
            assert!(sent == pipe.len() || sent - got.len() == INPUT_BYTES);
            let mut buffer = [0; 100];
            let count = mux.guest_read(0, &mut buffer);
            got.extend(&buffer[..count]);
        }
        assert_eq!(got, pipe);
    });
}

#[test]
fn the_end_of_an_attached_guest_gives_the_terminal_back_after_its_last_words() {
    with_mux(&["alpha"], |mux| {
        attach(mux, 0);
        receive(mux, b"crash\n");
        mux.guest_write(0, b"\x1b]0;title\r\nlast words");
        mux.guest_ended(0);
        mux.notice(format_args!("alpha has ended"));
        assert!(!mux.can_receive());
        let shown = drain(mux);
        let last = shown.find("last words").unwrap();
        let reset = shown.find("\x18\x0f\x1b[!p").unwrap();
        let notice = shown.find("disco: alpha has ended\r\n").unwrap();
        assert!(last < reset && reset < notice, "{shown:?}");
        assert!(
            !mux.guest_input_waiting(0),
            "a new run does not get the old one's input"
        );
        assert!(mux.can_receive());
    });
}

#[test]
fn a_restart_stays_attached() {
    with_mux(&["alpha"], |mux| {
        attach(mux, 0);
        mux.guest_restarts(0);
        drain(mux);
        assert_eq!(mux.view(), View::Attached(0));
    });
}

#[test]
fn a_write_is_taken_again_once_the_serial_line_was_served() {
    with_mux(&["alpha"], |mux| {
        let text: Vec<u8> = (0..3000)
            .flat_map(|n| format!("line {n}\n").into_bytes())
            .collect();
        let (mut sent, mut shown, mut refused) = (0, String::new(), false);
        while sent < text.len() {
            let taken = mux.guest_write(0, &text[sent..]);
            sent += taken;
            if taken == 0 {
                refused = true;
                shown.push_str(&drain(mux));
            }
        }
        shown.push_str(&drain(mux));
        assert!(refused);
        let expected: String = (0..3000).map(|n| format!("[alpha] line {n}\r\n")).collect();
        assert_eq!(shown, expected);
    });
}

#[test]
fn tab_completes_commands_and_names() {
    with_mux(&["alpha", "alpine"], |mux| {
        receive(mux, b"vm con\tal\t");
        assert!(drain(mux).ends_with("vm console alp"));
        receive(mux, b"\t");
        assert!(drain(mux).ends_with("\r\nalpha alpine \r\n\r\x1b[Kdisco> vm console alp"));
        receive(mux, b"h\t\r");
        assert_eq!(mux.view(), View::Attached(0));
    });
}

#[test]
fn help_fits_into_the_room_kept_for_a_key() {
    with_mux(&["alpha"], |mux| {
        receive(mux, b"help\r");
        let shown = drain(mux);
        assert!(shown.contains("poweroff") && shown.ends_with("disco> "));
        assert!(shown.len() < KEY_ROOM, "{}", shown.len());
    });
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize, Vec<u8>),
    Take(usize),
    Key(u8),
    End(usize),
    Time(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let nasty = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..400),
        Just(b"\r\n[beta] forged\n\x1b[A\x1b[2Kdisco> ".to_vec()),
        Just(b"line\n".repeat(40)),
        Just(vec![b'x'; 600]),
    ];
    prop_oneof![
        4 => (0usize..3, nasty).prop_map(|(vm, bytes)| Step::Write(vm, bytes)),
        3 => (1usize..300).prop_map(Step::Take),
        1 => any::<u8>().prop_map(Step::Key),
        1 => (0usize..3).prop_map(Step::End),
        1 => (0u64..3).prop_map(Step::Time),
    ]
}

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

proptest! {
    #[test]
    fn unattached_output_is_whole_harmless_lines_of_the_right_guest(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut written: [Vec<u8>; 3] = Default::default();
        let shown = with_mux(&NAMES, |mux| {
            let mut shown = Vec::new();
            for step in steps {
                match step {
                    Step::Write(vm, bytes) => {
                        let taken = mux.guest_write(vm, &bytes);
                        written[vm].extend(&bytes[..taken]);
                    }
                    Step::Take(count) => {
                        let mut buffer = vec![0; count];
                        let count = mux.uart_take(&mut buffer);
                        shown.extend(&buffer[..count]);
                    }
                    _ => {}
                }
            }
            for vm in 0..3 {
                mux.guest_ended(vm);
            }
            shown.extend(drain_bytes(mux));
            String::from_utf8(shown).unwrap()
        });
        prop_assert!(shown.is_empty() || shown.ends_with("\r\n"));
        let mut lines: [Vec<&str>; 3] = Default::default();
        for line in shown.split_terminator("\r\n") {
            let vm = NAMES.iter().position(|name| line.starts_with(&format!("[{name}] ")));
            prop_assert!(vm.is_some(), "{:?}", line);
            let vm = vm.unwrap();
            let text = &line[NAMES[vm].len() + 3..];
            prop_assert!(text.chars().all(|c| c == '\t' || is_harmless(c)), "{:?}", text);
            lines[vm].push(text);
        }
        // Each guest's lines are its own bytes, all of them, in order.
        for vm in 0..3 {
            let mut alone = Lines::<{ 64 << 10 }>::new();
            for &byte in &written[vm] { prop_assert!(alone.push(byte)); }
            alone.finish_line();
            let text: Vec<u8> = std::iter::from_fn(|| alone.pop()).collect();
            let text = String::from_utf8(text).unwrap();
            prop_assert_eq!(&lines[vm], &text.split_terminator('\n').collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_flood_delays_anothers_line_by_a_line_of_each_guest(
        flooders in 1usize..8, step in 1usize..64, before in 0usize..2000,
    ) {
        let names: Vec<String> = (0..=flooders).map(|n| format!("vm{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let behind = with_mux(&names, |mux| {
            let flood = |mux: &mut Mux<'_>| for vm in 0..flooders {
                while mux.guest_write(vm, b"y\n") > 0 {}
            };
            let mut buffer = vec![0; step];
            for _ in 0..before / step {
                flood(mux);
                mux.uart_take(&mut buffer);
            }
            flood(mux);
            mux.guest_write(flooders, b"calm\n");
            let mut shown = String::new();
            while !shown.contains("calm") {
                flood(mux);
                let count = mux.uart_take(&mut buffer);
                shown.push_str(core::str::from_utf8(&buffer[..count]).unwrap());
                if shown.len() > 10_000 { break; }
            }
            shown.matches('\n').count()
        });
        // One line of each flooder and what had been prepared for the transmitter's last request.
        let prepared = step / "[vm0] y\r\n".len() + 1;
        prop_assert!(behind <= flooders + prepared + 1, "{} lines", behind);
    }

    #[test]
    fn the_prompt_mode_stays_usable_whatever_happens(steps in prop::collection::vec(step(), 0..200)) {
        with_mux(&NAMES, |mux| {
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Write(vm, bytes) => { mux.guest_write(vm, &bytes); }
                    Step::Take(count) => { mux.uart_take(&mut vec![0; count]); }
                    Step::Key(byte) => if mux.can_receive() { mux.uart_received(byte) },
                    Step::End(vm) => mux.guest_ended(vm),
                    Step::Time(seconds) => { now += seconds * SECOND; mux.tick(now); }
                }
                if now % 7 == 0 { mux.attach(now as usize % 4); }
            }
            mux.detach();
            drain(mux);
            while mux.take_command().is_some() { mux.command_done(); }
            mux.command_done();
            // Ctrl-C ends whatever was typed.
            receive(mux, b"\x1b[~\x03cpus\r");
            prop_assert_eq!(mux.take_command(), Some(Command::Cpus(Format::Text)));
            Ok(())
        })?;
    }

    #[test]
    fn an_attached_guest_gets_every_byte_and_shows_every_byte(
        input in prop::collection::vec(any::<u8>(), 0..800),
        output in prop::collection::vec(any::<u8>(), 0..2000),
        step in 1usize..200,
    ) {
        with_mux(&["alpha"], |mux| {
            attach(mux, 0);
            for &byte in &input {
                for _ in 0..1 + usize::from(byte == 0x1d) {
                    prop_assert!(mux.can_receive());
                    mux.uart_received(byte);
                }
            }
            prop_assert_eq!(read(mux, 0), input);
            let (mut sent, mut shown, mut buffer) = (0, Vec::<u8>::new(), vec![0; step]);
            while shown.len() < output.len() {
                sent += mux.guest_write(0, &output[sent..]);
                let count = mux.uart_take(&mut buffer);
                shown.extend(&buffer[..count]);
            }
            prop_assert_eq!(shown, output);
            Ok(())
        })?;
    }
}
