use super::guest::*;
use crate::vm::trap::Outcome;
use disco_abi::{Call, CSSEG_WINDOW, LINE_CONSOLE};
use disco_arch::trap::Entry;
use proptest::prelude::*;

const TI: u32 = 1 << 30;
const IP7: u32 = 1 << 15;
const IE: u32 = 1;
const EXL: u32 = 2;

fn cause(guest: &mut Guest) -> u32 {
    guest.read_cp0(13, 0) as u32
}

#[test]
fn lines_come_and_go_without_the_guest() {
    let mut guest = Guest::new();
    guest.vcpu.set_line(LINE_CONSOLE, true);
    assert_eq!(
        cause(&mut guest) & 0xff00,
        0,
        "not before the virtual CPU looks"
    );
    guest.vcpu.update_lines(0);
    assert_eq!(cause(&mut guest) & 0xff00, 1 << 10);
    guest.vcpu.set_line(LINE_CONSOLE, false);
    guest.vcpu.update_lines(0);
    assert_eq!(cause(&mut guest) & 0xff00, 0);
    // Neither software's nor the timer's lines are anybody else's.
    for line in [0, 1, 7, 8, 20] {
        guest.vcpu.set_line(line, true);
    }
    guest.vcpu.update_lines(0);
    assert_eq!(cause(&mut guest) & 0xff00, 0);
}

#[test]
fn software_raises_its_own_two() {
    let mut guest = Guest::new();
    guest.write_cp0(13, 0, u64::MAX);
    assert_eq!(cause(&mut guest), 1 << 27 | 1 << 23 | 0x300);
    guest.write_cp0(13, 0, 0);
    assert_eq!(cause(&mut guest), 0);
}

#[test]
fn an_interrupt_waits_until_it_may_come() {
    let mut guest = Guest::new();
    let line = 1 << 10;
    guest.vcpu.set_line(LINE_CONSOLE, true);
    guest.vcpu.update_lines(0);
    for (status, pending) in [
        (0, 0),
        (IE, 0),
        (line, 1),
        (IE | line | EXL, 1),
        (IE | line | 4, 1),
    ] {
        guest.vcpu.special.set_status(status);
        guest.vcpu.deliver_interrupt();
        assert_eq!(guest.vcpu.context.pc, CODE, "Status {status:#x}");
        assert_eq!(guest.vcpu.special.pending(), pending, "Status {status:#x}");
    }
    guest.vcpu.special.set_status(IE | line);
    guest.vcpu.deliver_interrupt();
    assert_eq!(guest.vcpu.context.pc, CSSEG_WINDOW + 0x180);
    assert_eq!(guest.vcpu.special.epc(), CODE);
    assert_eq!(guest.vcpu.special.pending(), 0);
    assert_eq!(guest.vcpu.special.cause() & 0xff7c, line);
    assert_eq!(guest.vcpu.special.status() & EXL, EXL);
}

#[test]
fn di_and_ei_return_the_old_status() {
    let mut guest = Guest::new();
    guest.write_cp0(12, 0, 0xff01);
    for (word, ie) in [(0x4168_6000, 0), (0x4168_6020, 1), (0x4160_6000, 0)] {
        let before = guest.read_cp0(12, 0);
        guest.set_gpr(8, 0);
        assert_eq!(guest.execute(word), Outcome::Resume);
        let expected = if word >> 16 & 31 == 0 { 0 } else { before };
        assert_eq!(guest.gpr(8), expected);
        assert_eq!(guest.read_cp0(12, 0) & 1, ie);
    }
}

#[test]
fn wait_is_the_schedulers() {
    let mut guest = Guest::new();
    assert_eq!(guest.execute(0x4200_0020), Outcome::Wait);
    assert_eq!(guest.vcpu.context.pc, CODE + 4);
    guest.vcpu.special.set_status(1 << 10);
    guest.vcpu.set_line(LINE_CONSOLE, true);
    guest.vcpu.update_lines(0);
    assert!(guest.vcpu.has_interrupt(), "wait ends whatever IE says");
}

#[test]
fn real_interrupts_are_the_monitors() {
    let mut guest = Guest::new();
    let trap = guest.trap(Entry::Interrupt, 0);
    assert_eq!(guest.handle(&trap), Outcome::Interrupt);
    assert_eq!(guest.vcpu.context.pc, CODE);
    assert_eq!(guest.vcpu.context.keep_link, 1, "LL and SC go on");
}

/// Lets `ticks` of Count and of the monitor's clock pass.
fn pass(guest: &mut Guest, ticks: u64) {
    guest.now += ticks;
    guest.machine.count = guest.machine.count.wrapping_add(ticks as u32);
    guest.vcpu.update_lines(guest.now);
}

#[test]
fn the_timer_strikes_when_count_reaches_compare() {
    let mut guest = Guest::new();
    guest.write_cp0(11, 0, 1000);
    pass(&mut guest, 999);
    assert_eq!(cause(&mut guest) & (TI | IP7), 0);
    pass(&mut guest, 1);
    assert_eq!(cause(&mut guest) & (TI | IP7), TI | IP7);
    guest.write_cp0(11, 0, 1500);
    assert_eq!(
        cause(&mut guest) & (TI | IP7),
        0,
        "a write of Compare takes it back"
    );
    pass(&mut guest, 10_000);
    assert_eq!(cause(&mut guest) & (TI | IP7), TI | IP7);
}

#[test]
fn a_compare_that_has_passed_waits_for_count_to_wrap() {
    let mut guest = Guest::new();
    pass(&mut guest, 5000);
    for compare in [5000u64, 4999] {
        guest.write_cp0(11, 0, compare);
        pass(&mut guest, (1 << 32) - 2);
        assert_eq!(cause(&mut guest) & TI, 0, "{compare}");
        pass(&mut guest, 2);
        assert_eq!(cause(&mut guest) & TI, TI, "{compare}");
    }
}

#[test]
fn a_timer_that_nobody_serves_strikes_every_turn_of_count() {
    let mut guest = Guest::new();
    guest.write_cp0(11, 0, 100);
    pass(&mut guest, 3 << 32);
    assert_eq!(cause(&mut guest) & TI, TI);
    assert_eq!(guest.vcpu.registers.timer_deadline, (3 << 32) + 100);
}

#[test]
fn a_stopped_count_stands_and_goes_on_where_it_stood() {
    let mut guest = Guest::new();
    guest.write_cp0(9, 0, 50);
    guest.write_cp0(11, 0, 100);
    guest.write_cp0(13, 0, 1 << 27);
    pass(&mut guest, 1000);
    assert_eq!(guest.read_cp0(9, 0), 50);
    assert_eq!(cause(&mut guest) & TI, 0);
    guest.write_cp0(13, 0, 0);
    assert_eq!(guest.read_cp0(9, 0), 50);
    pass(&mut guest, 49);
    assert_eq!(cause(&mut guest) & TI, 0);
    pass(&mut guest, 1);
    assert_eq!(cause(&mut guest) & TI, TI);
    assert_eq!(guest.read_cp0(9, 0), 100);
}

#[test]
fn a_timer_that_struck_is_not_lost_to_a_write_of_count_or_cause() {
    for (number, value) in [(9, 5000u64), (13, 1 << 27)] {
        let mut guest = Guest::new();
        guest.write_cp0(11, 0, 100);
        // The monitor has not looked yet.
        guest.now += 150;
        guest.machine.count += 150;
        guest.write_cp0(number, 0, value);
        assert_eq!(cause(&mut guest) & TI, TI, "register {number}");
    }
}

proptest! {
    #[test]
    fn the_timer_strikes_within_its_turn_and_not_before(
        start in any::<u32>(), count in any::<u32>(), compare in any::<u32>(), early in any::<u64>(),
    ) {
        let mut guest = Guest::new();
        pass(&mut guest, u64::from(start));
        guest.vcpu.clear_timer();
        guest.write_cp0(9, 0, u64::from(count));
        guest.write_cp0(11, 0, u64::from(compare));
        let ticks = match compare.wrapping_sub(count) {
            0 => 1u64 << 32,
            ticks => u64::from(ticks),
        };
        let early = early % ticks;
        pass(&mut guest, early);
        prop_assert_eq!(cause(&mut guest) & TI, 0);
        prop_assert_eq!(guest.read_cp0(9, 0) as u32, count.wrapping_add(early as u32));
        pass(&mut guest, ticks - early);
        prop_assert_eq!(cause(&mut guest) & TI, TI);
    }
}

#[test]
fn deliver_call_leaves_the_delivery_to_the_way_out() {
    let mut guest = Guest::new();
    guest.vcpu.set_line(LINE_CONSOLE, true);
    guest.vcpu.update_lines(0);
    guest.vcpu.special.set_status(IE | 1 << 10);
    assert_eq!(guest.call(Call::Deliver, [0; 4]), 0);
    guest.vcpu.deliver_interrupt();
    assert_eq!(guest.vcpu.special.epc(), CODE + 4, "behind the call");
}
