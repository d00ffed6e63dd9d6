use super::guest::*;
use super::machine::Access;
use crate::vm::exception::{code, NoVector};
use crate::vm::trap::{Outcome, Trap};
use crate::vm::vtlb::TlbEntry;
use disco_abi::{CSSEG_WINDOW, SPECIAL_PAGE, XSSEG_WINDOW};
use disco_arch::trap::Entry;
use proptest::prelude::*;

const EXL: u32 = 1 << 1;
const ERL: u32 = 1 << 2;
const UX: u32 = 1 << 5;
const BEV: u32 = 1 << 22;
const BD: u32 = 1 << 31;
const IV: u64 = 1 << 23;
const SYSCALL: u32 = 0x0000_000c;
const BEQ: u32 = 0x1000_0004;

fn system_call(guest: &Guest) -> Trap {
    Trap {
        bad_instr: SYSCALL,
        ..guest.trap(Entry::General, code::SYS)
    }
}

#[test]
fn an_exception_saves_where_and_why() {
    let mut guest = Guest::new();
    guest.vcpu.special.set_epc(0x1111);
    guest.handle(&system_call(&guest));
    let special = guest.vcpu.special;
    assert_eq!(special.epc(), CODE);
    assert_eq!(special.cause() >> 2 & 31, u32::from(code::SYS));
    assert_eq!(special.cause() & BD, 0);
    assert_eq!(special.bad_instr(), SYSCALL);
    assert_eq!(special.status() & EXL, EXL);
    assert_eq!(guest.vcpu.context.pc, CSSEG_WINDOW + 0x180);
}

#[test]
fn in_a_delay_slot_epc_is_the_branch() {
    let mut guest = Guest::new();
    let trap = Trap {
        cause: system_call(&guest).cause | BD,
        bad_instr_p: BEQ,
        ..system_call(&guest)
    };
    guest.handle(&trap);
    let special = guest.vcpu.special;
    assert_eq!((special.epc(), special.cause() & BD), (CODE, BD));
    assert_eq!(special.bad_instr_p(), BEQ);
}

#[test]
fn a_nested_exception_keeps_epc_bd_and_badinstr() {
    let mut guest = Guest::new();
    let first = Trap {
        cause: system_call(&guest).cause | BD,
        bad_instr_p: BEQ,
        ..system_call(&guest)
    };
    guest.handle(&first);
    guest.vcpu.context.pc = CSSEG_WINDOW + 0x184;
    let second = Trap {
        bad_vaddr: 0x1234_5678,
        bad_instr: 0x8c00_0000,
        ..guest.trap(Entry::Refill, code::TLBL)
    };
    guest.handle(&second);
    let special = guest.vcpu.special;
    assert_eq!(special.epc(), CODE);
    assert_eq!(special.cause() & BD, BD);
    assert_eq!(special.cause() >> 2 & 31, u32::from(code::TLBL));
    assert_eq!(special.bad_instr(), SYSCALL);
    assert_eq!(special.bad_vaddr(), 0x1234_5678);
    assert_eq!(
        guest.vcpu.context.pc,
        CSSEG_WINDOW + 0x180,
        "not the refill vector"
    );
}

#[test]
fn vectors_by_exception_ebase_and_bev() {
    let mut guest = Guest::new();
    guest.write_cp0(15, 1, 0x4000_0000_0002_0000 | 1 << 11);
    let refill = |guest: &Guest| Trap {
        bad_vaddr: 0x1000,
        ..guest.trap(Entry::Refill, code::TLBS)
    };
    let boot = 0xffff_ffff_bfc0_0200u64;
    let base = 0x4000_0000_0002_0000u64;
    for (bev, base) in [(0, base), (BEV, boot)] {
        for (addressing, offset) in [(0, 0x000), (UX, 0x080)] {
            guest.vcpu.special.set_status(bev | addressing);
            guest.handle(&refill(&guest));
            assert_eq!(guest.vcpu.context.pc, base + offset);
        }
        guest.vcpu.special.set_status(bev);
        guest.handle(&system_call(&guest));
        assert_eq!(guest.vcpu.context.pc, base + 0x180);
        for (iv, offset) in [(0, 0x180), (IV, 0x200)] {
            guest.write_cp0(13, 0, iv | 1 << 8);
            guest.vcpu.special.set_status(bev | 0x101);
            guest.vcpu.deliver_interrupt();
            assert_eq!(guest.vcpu.context.pc, base + offset);
        }
    }
}

proptest! {
    #[test]
    fn tlb_exceptions_fill_context_and_entry_hi(
        address in super::l2tlb::address(), asid in 0..1024u64, base in any::<u64>(),
    ) {
        let mut guest = Guest::new();
        guest.set_asid(asid);
        guest.write_cp0(4, 0, base);
        guest.write_cp0(20, 0, base);
        let trap = Trap {
            bad_vaddr: address,
            ..guest.trap(Entry::Refill, code::TLBS)
        };
        prop_assert_eq!(guest.handle(&trap), Outcome::Resume);
        let special = guest.vcpu.special;
        prop_assert_eq!(special.bad_vaddr(), address);
        let vpn2 = address >> 13 & ((1 << 35) - 1);
        prop_assert_eq!(special.entry_hi(), address >> 62 << 62 | vpn2 << 13 | asid);
        prop_assert_eq!(special.context(), base >> 23 << 23 | (vpn2 & 0x7_ffff) << 4);
        let low = (address >> 62) << 39 | vpn2 << 4;
        prop_assert_eq!(special.xcontext(), base >> 41 << 41 | low);
    }

    #[test]
    fn no_trap_is_too_strange(
        cause in any::<u32>(), epc in any::<u64>(), bad_vaddr in any::<u64>(),
        bad_instr in any::<u32>(), bad_instr_p in any::<u32>(), status in any::<u32>(),
        gpr in any::<[u64; 32]>(), user in any::<bool>(), entry in 0..3,
    ) {
        let mut guest = Guest::new();
        guest.vcpu.context.gpr = gpr;
        guest.vcpu.special.set_status(status);
        let entry = [Entry::Refill, Entry::General, Entry::Interrupt][entry as usize];
        let trap = Trap { entry, cause, epc, bad_vaddr, bad_instr, bad_instr_p, user };
        guest.handle(&trap);
        guest.vcpu.deliver_interrupt();
        let _ = guest.vcpu.prepare_resume();
        guest.audit();
    }

    #[test]
    fn no_special_page_is_too_strange(
        slots in any::<[u64; 12]>(), words in prop::collection::vec(any::<u32>(), 8),
    ) {
        let mut guest = Guest::new();
        let special = guest.vcpu.special;
        special.set_status(slots[0] as u32);
        special.set_epc(slots[1]);
        special.set_entry_hi(slots[2]);
        special.set_entry_lo0(slots[3]);
        special.set_entry_lo1(slots[4]);
        special.set_page_mask(slots[5]);
        special.set_index(slots[6] as u32);
        special.set_context(slots[7]);
        for word in [TLBWI, TLBP, TLBWR, TLBR, TLBWI, TLBP, TLBINV] {
            guest.execute(word);
            guest.audit();
        }
        for word in words {
            // Any word of coprocessor 0.
            guest.execute(0x4000_0000 | word & 0x03ff_ffff);
            guest.audit();
        }
    }
}

#[test]
fn an_address_error_of_the_mmu_changes_the_tlb_registers() {
    const SD: u32 = 0xfc00_0000;
    const SCD: u32 = 0x7c00_0027;
    for (word, registers) in [(SD, (0xc000_ffff_8000_2005, 0x40_0010)), (SCD, (5, 0))] {
        let mut guest = Guest::new();
        guest.set_asid(5);
        let trap = Trap {
            bad_vaddr: 0xffff_ffff_8000_2001,
            bad_instr: word,
            ..guest.trap(Entry::General, code::ADES)
        };
        guest.handle(&trap);
        let special = guest.vcpu.special;
        assert_eq!(special.bad_vaddr(), 0xffff_ffff_8000_2001);
        assert_eq!(
            (special.entry_hi(), special.context()),
            registers,
            "{word:#x}"
        );
        assert_eq!(special.cause() >> 2 & 31, u32::from(code::ADES));
    }
}

#[test]
fn supervisor_mode_has_no_windows() {
    let mut guest = Guest::new();
    let counts = |guest: &Guest| {
        let context = &guest.vcpu.context;
        (context.linear_count, context.csseg_count)
    };
    let before = counts(&guest);
    assert!(!guest.vcpu.prepare_resume());
    guest.vcpu.special.set_status(1 << 3);
    assert!(guest.vcpu.prepare_resume());
    assert_eq!(counts(&guest), (0, 0));
    assert!(!guest.vcpu.prepare_resume());
    for address in [CSSEG_WINDOW, XSSEG_WINDOW, SPECIAL_PAGE] {
        let trap = Trap {
            bad_vaddr: address,
            user: true,
            ..guest.trap(Entry::Refill, code::TLBL)
        };
        guest.vcpu.special.set_status(1 << 3);
        assert_eq!(guest.handle(&trap), Outcome::Resume);
        let cause = guest.vcpu.special.cause();
        assert_eq!(cause >> 2 & 31, u32::from(code::ADEL), "{address:#x}");
    }
    assert!(
        guest.vcpu.prepare_resume(),
        "the exception is for kernel mode"
    );
    assert_eq!(counts(&guest), before);
}

#[test]
fn one_that_starts_again_is_as_new() {
    let mut guest = Guest::new();
    guest.write_cp0(15, 1, CSSEG_WINDOW + 0x8000);
    guest.write_cp0(6, 0, 3);
    guest.write_cp0(31, 2, 77);
    let entry = TlbEntry {
        hi: 0x4000_0000,
        lo0: lo(0x8000, DV),
        lo1: lo(0xc000, DV),
        page_mask: 0x6000,
    };
    guest.tlbwi(5, &entry);
    guest.vcpu.set_line(3, true);
    guest.vcpu.special.set_status(1 << 3);
    let _ = guest.vcpu.prepare_resume();
    guest.vcpu.clear();
    guest.vcpu.reset(CODE, 0);
    let new = Guest::new();
    let state = |guest: &Guest| {
        let vcpu = &guest.vcpu;
        let special: Vec<u64> = (0..6).map(|number| vcpu.special.kscratch(number)).collect();
        format!("{:?} {:?} {:?}", vcpu.registers, vcpu.tlb, vcpu.supervisor)
            + &format!("{special:?} {} {}", vcpu.lines, vcpu.l2.iter().count())
    };
    assert_eq!(state(&guest), state(&new));
}

#[test]
fn a_word_that_was_not_fetched_is_not_shown() {
    let mut guest = Guest::new();
    guest.vcpu.special.set_bad_instr(SYSCALL);
    guest.vcpu.context.pc = 0x10_0000;
    let trap = Trap {
        bad_vaddr: 0x10_0000,
        bad_instr: 0xdead_beef,
        ..guest.trap(Entry::Refill, code::TLBL)
    };
    guest.handle(&trap);
    assert_eq!(guest.vcpu.special.bad_instr(), SYSCALL);
}

#[test]
fn coprocessor_unusable_names_it() {
    let mut guest = Guest::new();
    for coprocessor in [0, 1, 2] {
        guest.vcpu.special.set_status(0);
        let trap = Trap {
            cause: u32::from(code::CPU) << 2 | coprocessor << 28,
            user: true,
            bad_instr: mfc0(8, 12, 0),
            ..guest.trap(Entry::General, code::CPU)
        };
        guest.handle(&trap);
        let cause = guest.vcpu.special.cause();
        assert_eq!(cause >> 2 & 31, u32::from(code::CPU));
        assert_eq!(cause >> 28 & 3, coprocessor);
    }
}

#[test]
fn what_the_cpu_does_not_have_is_reserved() {
    let mut guest = Guest::new();
    // A reserved operation of coprocessor 0, deret, and MSA.
    for (word, code_of_trap) in [
        (0x4200_0011, code::CPU),
        (0x4200_001f, code::CPU),
        (0x7800_0000, code::MSADIS),
        (0x0000_000e, code::RI),
    ] {
        guest.vcpu.special.set_status(0);
        guest.vcpu.context.pc = CODE;
        let trap = Trap {
            bad_instr: word,
            ..guest.trap(Entry::General, code_of_trap)
        };
        assert_eq!(guest.handle(&trap), Outcome::Resume);
        let cause = guest.vcpu.special.cause();
        assert_eq!(cause >> 2 & 31, u32::from(code::RI), "{word:#x}");
        assert_eq!(guest.vcpu.special.epc(), CODE);
    }
}

#[test]
fn eret_returns_from_the_innermost_level() {
    let mut guest = Guest::new();
    let special = guest.vcpu.special;
    special.set_epc(0x1000);
    special.set_error_epc(0x2000);
    special.set_status(EXL | ERL);
    for (status, pc) in [(EXL, 0x2000), (0, 0x1000)] {
        assert_eq!(guest.execute(0x4200_0018), Outcome::Resume);
        assert_eq!(guest.vcpu.context.pc, pc);
        assert_eq!(guest.vcpu.special.status() & (EXL | ERL), status);
        assert_eq!(guest.vcpu.context.keep_link, 0, "eret clears LLbit");
    }
    special.set_status(EXL);
    guest.execute(0x4200_0058);
    assert_eq!(guest.vcpu.context.keep_link, 1, "eretnc does not");
}

#[test]
fn a_vector_that_cannot_be_fetched_ends_the_guest() {
    let outside = CSSEG_WINDOW + (PAGES << 14);
    for (vector, name) in [
        (outside, "behind memory"),
        (0x10_0000, "not mapped"),
        (0xffff_ffff_8000_0000, "kseg0"),
    ] {
        let mut guest = Guest::new();
        guest.write_cp0(15, 1, vector | 1 << 11);
        guest.handle(&system_call(&guest));
        let mut ended = false;
        for _ in 0..3 {
            let pc = guest.vcpu.context.pc;
            let exl = guest.vcpu.special.status() & EXL;
            assert_eq!(exl, EXL);
            let (entry, code) = match vector {
                0xffff_ffff_8000_0000 => (Entry::General, code::ADEL),
                _ => (Entry::Refill, code::TLBL),
            };
            let trap = Trap {
                bad_vaddr: pc,
                ..guest.trap(entry, code)
            };
            if let Outcome::NoVector(NoVector { vector, .. }) = guest.handle(&trap) {
                assert_eq!(vector, pc);
                ended = true;
                break;
            }
        }
        assert!(ended, "{name}");
    }
}

#[test]
fn a_handler_that_faults_elsewhere_does_not_end_the_guest() {
    let mut guest = Guest::new();
    guest.handle(&system_call(&guest));
    guest.vcpu.context.pc = CSSEG_WINDOW + 0x180;
    let trap = Trap {
        bad_vaddr: 0xffff_ffff_8000_0000,
        ..guest.trap(Entry::General, code::ADEL)
    };
    assert_eq!(guest.handle(&trap), Outcome::Resume);
    // A jump to nowhere outside a handler is an exception like any other.
    guest.vcpu.special.set_status(UX);
    assert_eq!(
        guest.access(0x7000_0000, Access::Fetch),
        End::Exception(code::TLBL, 0x080)
    );
}

#[test]
fn user_mode_system_calls_have_their_vector_ready() {
    let mut guest = Guest::new();
    let _ = guest.vcpu.prepare_resume();
    assert_eq!(guest.vcpu.context.syscall_vector, CSSEG_WINDOW + 0x180);
    guest.vcpu.special.set_status(BEV);
    let _ = guest.vcpu.prepare_resume();
    assert_eq!(guest.vcpu.context.syscall_vector, 0, "the slow way");
}

#[test]
fn what_the_last_eret_led_to_counts_as_long_as_it_would_lead_there() {
    const CU1: u64 = 1 << 29;
    const USER: u64 = 0x12;
    let mut guest = Guest::new();
    let _ = guest.vcpu.prepare_resume();
    let of_eret = |guest: &mut Guest| {
        // As the vectors note it.
        let before = guest.vcpu.context.eret_from;
        guest.vcpu.context.eret_from = USER;
        let _ = guest.vcpu.prepare_resume();
        (before, guest.vcpu.context.eret_from)
    };
    let nothing = guest.vcpu.context.eret_from;
    assert_ne!(
        nothing, nothing as i32 as i64 as u64,
        "a Status might be that"
    );
    assert_eq!(of_eret(&mut guest), (nothing, USER));
    guest.vcpu.context.fpu_mask = CU1;
    assert_eq!(of_eret(&mut guest), (USER, nothing));
    guest.vcpu.special.set_status(UX);
    let _ = guest.vcpu.prepare_resume();
    guest.vcpu.special.set_status(0);
    assert_eq!(of_eret(&mut guest), (nothing, nothing), "without UX");
}

#[test]
fn a_system_call_and_an_eret_find_what_waits() {
    let mut guest = Guest::new();
    for (cause, pending) in [(0, 0), (0x0080_0100, 0x100), (0x0800_0000, 0)] {
        guest.vcpu.change_cause(!0, cause);
        let context = &guest.vcpu.context;
        assert_eq!(context.cause_base, u64::from(cause));
        assert_eq!(context.pending, pending);
        assert_eq!(context.syscall_cause, u64::from(cause | 0x20));
    }
}

#[test]
fn modes_of_the_guest_and_of_the_cpu() {
    let mut guest = Guest::new();
    for (status, supervisor) in [
        (0u32, true),
        (1 << 4, false),
        (1 << 3, true),
        (1 << 4 | EXL, true),
        (1 << 4 | ERL, true),
    ] {
        guest.vcpu.special.set_status(status);
        let _ = guest.vcpu.prepare_resume();
        let ksu = guest.vcpu.context.status & 0x18;
        assert_eq!(ksu, if supervisor { 8 } else { 16 }, "{status:#x}");
    }
}

#[test]
fn a_fetch_at_an_odd_address_has_that_as_bad_address() {
    // QEMU leaves BadVAddr as it was when it comes to such an address again.
    let mut guest = Guest::new();
    let trap = Trap {
        epc: CODE + 2,
        bad_vaddr: 0x1234_5678,
        bad_instr: 0x1234,
        ..guest.trap(Entry::General, code::ADEL)
    };
    guest.handle(&trap);
    let special = guest.vcpu.special;
    assert_eq!((special.epc(), special.bad_vaddr()), (CODE + 2, CODE + 2));
    assert_eq!(special.bad_instr(), 0, "the word was not fetched");
    assert_eq!(special.context(), 0, "the TLB was not asked");
}
