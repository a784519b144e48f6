//! Sixteen bytes that are looked at together.
use wide::u8x16;

/// Bytes in one go.
pub(super) const LANES: usize = 16;

/// Sixteen bytes, or as many answers about them.
#[derive(Clone, Copy)]
pub(super) struct Lanes(u8x16);

impl Lanes {
    /// The bytes as they stand.
    #[inline]
    pub(super) fn of(bytes: &[u8; LANES]) -> Self {
        Self(u8x16::new(*bytes))
    }

    /// No answer is yes.
    #[inline]
    pub(super) fn none() -> Self {
        Self(u8x16::splat(0))
    }

    /// With the bit set that tells lower from upper case.
    #[inline]
    pub(super) fn folded(self) -> Self {
        Self(self.0 | u8x16::splat(0x20))
    }

    /// Which are this byte.
    #[inline]
    pub(super) fn is(self, byte: u8) -> Self {
        Self(self.0.simd_eq(u8x16::splat(byte)))
    }

    /// Which are one of `count` bytes from `first` on.
    #[inline]
    pub(super) fn within(self, first: u8, count: u8) -> Self {
        let from = self.0 - u8x16::splat(first);
        Self(from.min(u8x16::splat(count - 1)).simd_eq(from))
    }

    /// Yes where one of both is.
    #[inline]
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The answers, one bit each.
    #[inline]
    pub(super) fn bits(self) -> u16 {
        self.0.to_bitmask() as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_that_of_its_byte() {
        for start in 0..=u8::MAX {
            let bytes: [u8; LANES] = std::array::from_fn(|at| start.wrapping_add(17 * at as u8));
            let bits = |is: &dyn Fn(u8) -> bool| -> u16 {
                (0..).zip(bytes).map(|(at, byte)| u16::from(is(byte)) << at).sum()
            };
            let lanes = Lanes::of(&bytes);
            for byte in 0..=u8::MAX {
                assert_eq!(lanes.is(byte).bits(), bits(&|own| own == byte));
                assert_eq!(lanes.folded().is(byte).bits(), bits(&|own| own | 0x20 == byte));
                assert_eq!(lanes.within(byte, 26).bits(), bits(&|own| own.wrapping_sub(byte) < 26));
                let either = lanes.is(byte).or(lanes.is(start));
                assert_eq!(either.bits(), bits(&|own| own == byte || own == start));
            }
            assert_eq!(Lanes::none().bits(), 0);
        }
    }
}
