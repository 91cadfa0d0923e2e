//! A place in a segment, as every shared structure stores it in the stead of a pointer.
//! Everything above uses it; it means the same in each process that maps the segment, so it
//! survives a crash and a mapping at another address. It is not checked until it is used.

use std::fmt;

/// The distance in bytes from the start of a segment.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(u64);

impl Offset {
    /// Offset 0. The header lives there, so no object ever does.
    pub const NULL: Offset = Offset(0);

    /// The offset `bytes` from the start of the segment, unchecked until it is used.
    pub const fn new(bytes: u64) -> Offset {
        Offset(bytes)
    }

    /// The distance in bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The offset `bytes` further on, or `None` where the sum does not fit.
    pub const fn add(self, bytes: u64) -> Option<Offset> {
        match self.0.checked_add(bytes) {
            Some(sum) => Some(Offset(sum)),
            None => None,
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Offset({:#x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Offset;

    #[test]
    fn adding_is_checked_and_display_is_hexadecimal() {
        assert_eq!(Offset::new(0x40).add(0x10), Some(Offset::new(0x50)));
        assert_eq!(Offset::new(u64::MAX).add(1), None);
        assert_eq!(Offset::new(4096).to_string(), "0x1000");
        assert_eq!(Offset::NULL.get(), 0);
    }
}
