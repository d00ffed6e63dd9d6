//! Every CP0 register and select.

use crate::record::see;
use crate::run::{see_exceptions, unmapped};
use crate::suite::Suite;
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::registers::{A0, V0};

pub fn programs(suite: &mut Suite) {
    for number in 0..32 {
        for select in 0..8 {
            suite.program(format_args!("cp0.{number}.{select}.read"), || {
                let mut registers = Registers::new();
                unmapped(
                    &[dmfc0(V0, number, select), mfc0(A0, number, select)],
                    &mut registers,
                );
                see("dmfc0", registers.get(V0));
                see("mfc0", registers.get(A0));
                see_exceptions();
            });
        }
    }
}
