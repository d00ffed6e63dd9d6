//! Numbers of general registers.

macro_rules! registers {
    ($($name:ident = $number:literal,)*) => {
        $(
            #[doc = concat!("`$", $number, "`")]
            pub const $name: u32 = $number;
        )*
    };
}

registers! {
    ZERO = 0, AT = 1, V0 = 2, V1 = 3, A0 = 4, A1 = 5, A2 = 6, A3 = 7,
    T0 = 12, T1 = 13, T2 = 14, T3 = 15, S0 = 16, S1 = 17, T8 = 24, T9 = 25, RA = 31,
}
