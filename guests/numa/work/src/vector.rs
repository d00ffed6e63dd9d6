//! Vectors of fixed-point numbers: 16 bits behind the point, as the bare machine has no use for a floating-point
//! unit. Coordinates are below 256, so no product overflows 64 bits.

/// Bits behind the point.
pub const POINT: u32 = 16;
/// 1.
pub const ONE: i64 = 1 << POINT;

/// A point or direction.
pub type Vector = [i64; 3];

/// `a + b`.
pub fn add(a: Vector, b: Vector) -> Vector {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// `a - b`.
pub fn sub(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// `a` times a number.
pub fn scale(a: Vector, by: i64) -> Vector {
    a.map(|a| (a * by) >> POINT)
}

/// The inner product, with twice as many bits behind the point.
pub fn dot_wide(a: Vector, b: Vector) -> i64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// The inner product.
pub fn dot(a: Vector, b: Vector) -> i64 {
    dot_wide(a, b) >> POINT
}

/// The outer product.
pub fn cross(a: Vector, b: Vector) -> Vector {
    let part = |i: usize, j: usize| (a[i] * b[j] - a[j] * b[i]) >> POINT;
    [part(1, 2), part(2, 0), part(0, 1)]
}

/// A direction of length 1; of no length at all, one along z.
pub fn unit(a: Vector) -> Vector {
    let length = dot_wide(a, a).unsigned_abs().isqrt() as i64;
    match length {
        0 => [0, 0, ONE],
        _ => a.map(|a| (a << POINT) / length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products() {
        let (x, y) = ([ONE, 0, 0], [0, ONE, 0]);
        assert_eq!(cross(x, y), [0, 0, ONE]);
        assert_eq!(dot(x, y), 0);
        assert_eq!(dot([2 * ONE, ONE, 0], [3 * ONE, -ONE, ONE]), 5 * ONE);
        assert_eq!(scale(x, ONE / 2), [ONE / 2, 0, 0]);
    }

    #[test]
    fn directions_have_length_one() {
        for a in [
            [3 * ONE, 4 * ONE, 0],
            [-ONE / 3, ONE / 5, 1],
            [100 * ONE, -1, 255 * ONE],
        ] {
            let unit = unit(a);
            let length = dot(unit, unit);
            assert!((ONE - 8..=ONE + 8).contains(&length), "{a:?}: {unit:?}");
        }
        assert_eq!(unit([0; 3]), [0, 0, ONE]);
    }
}
