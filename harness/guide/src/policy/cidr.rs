//! CIDR arithmetic: what is left of a prefix when others are taken out.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A prefix; host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    /// Its family.
    pub family: Family,
    /// The address, aligned to the high end of the 128 bits.
    bits: u128,
    /// Length of the prefix.
    pub length: u8,
}

/// Text that is not a CIDR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a CIDR: write 10.0.0.0/8 or fd00::/8")]
pub struct ParseCidrError {
    text: String,
}

impl Family {
    /// Returns the number of bits of an address.
    pub const fn width(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl Cidr {
    fn new(family: Family, bits: u128, length: u8) -> Self {
        Self { family, bits: bits & mask(length), length }
    }

    /// Tells whether another prefix lies inside this one or is the same.
    pub fn contains(&self, other: &Self) -> bool {
        self.family == other.family
            && self.length <= other.length
            && other.bits & mask(self.length) == self.bits
    }

    /// Returns the prefix one bit shorter.
    pub fn parent(&self) -> Option<Self> {
        self.length.checked_sub(1).map(|length| Self::new(self.family, self.bits, length))
    }

    /// Returns the other half of the parent.
    pub fn sibling(&self) -> Option<Self> {
        let flipped = self.bits ^ 1_u128.checked_shl(128 - u32::from(self.length))?;
        Some(Self { bits: flipped, ..*self })
    }

    /// Returns the two halves; an address has none.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let length = self.length + 1;
        if length > self.family.width() {
            return None;
        }
        let low = Self { length, ..*self };
        Some([low, low.sibling()?])
    }
}

/// Returns what is left of a prefix when exceptions are taken out, as the datapath holds it: the fewest prefixes, sorted.
pub fn resultant(cidr: Cidr, except: &[Cidr]) -> Vec<Cidr> {
    let mut left = vec![cidr];
    for hole in except {
        let (hit, mut rest): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|cidr| cidr.contains(hole) || hole.contains(cidr));
        // Around a hole lie the siblings of every prefix on the way down to it.
        for cidr in hit.iter().filter(|cidr| cidr.contains(hole)) {
            let way =
                std::iter::successors(Some(*hole), Cidr::parent).take_while(|at| at.length > cidr.length);
            rest.extend(way.filter_map(|at| at.sibling()));
        }
        left = rest;
    }
    left.sort_unstable();
    left
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = ParseCidrError;

    /// Reads a prefix; an address alone is one of full length.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseCidrError { text: text.to_owned() };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let (family, bits) = match address.parse::<IpAddr>().map_err(|_| error())? {
            IpAddr::V4(v4) => (Family::V4, u128::from(v4.to_bits()) << 96),
            IpAddr::V6(v6) => (Family::V6, v6.to_bits()),
        };
        let digits = |length: &&str| length.len() <= 3 && length.bytes().all(|b| b.is_ascii_digit());
        let length = match length {
            None => family.width(),
            Some(length) => Some(length).filter(digits).and_then(|l| l.parse().ok()).ok_or_else(error)?,
        };
        if length > family.width() { Err(error()) } else { Ok(Self::new(family, bits, length)) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = match self.family {
            Family::V4 => IpAddr::from(((self.bits >> 96) as u32).to_be_bytes()),
            Family::V6 => IpAddr::from(self.bits.to_be_bytes()),
        };
        write!(f, "{address}/{}", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[rstest]
    #[case::address("20.1.1.1", "20.1.1.1/32")]
    #[case::host_bits("10.1.2.3/8", "10.0.0.0/8")]
    #[case::everything("0.0.0.0/0", "0.0.0.0/0")]
    #[case::v6("fd00::1/8", "fd00::/8")]
    #[case::v6_everything("::/0", "::/0")]
    fn reads(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(cidr(text).to_string(), shown);
    }

    #[rstest]
    #[case::too_long("10.0.0.0/33")]
    #[case::sign("10.0.0.0/+8")]
    #[case::empty_length("10.0.0.0/")]
    #[case::word("world")]
    #[case::short("10.0/8")]
    fn refuses(#[case] text: &str) {
        assert!(text.parse::<Cidr>().is_err());
    }

    #[test]
    fn takes_exceptions_out_as_in_the_guides_example() {
        let left = resultant(cidr("10.0.0.0/8"), &[cidr("10.96.0.0/12")]);
        let shown: Vec<_> = left.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.0/10", "10.64.0.0/11", "10.112.0.0/12", "10.128.0.0/9"]);
    }

    #[test]
    fn an_exception_that_covers_all_leaves_nothing() {
        assert_eq!(resultant(cidr("10.0.0.0/8"), &[cidr("0.0.0.0/0")]), []);
        assert_eq!(resultant(cidr("10.0.0.0/8"), &[cidr("fd00::/8")]), [cidr("10.0.0.0/8")]);
    }

    /// The model: halve until a prefix is either free of exceptions or covered by one.
    fn model(cidr: Cidr, except: &[Cidr]) -> Vec<Cidr> {
        if except.iter().any(|hole| hole.contains(&cidr)) {
            return Vec::new();
        }
        if !except.iter().any(|hole| cidr.contains(hole)) {
            return vec![cidr];
        }
        cidr.halves().into_iter().flatten().flat_map(|half| model(half, except)).collect()
    }

    fn any_cidr() -> impl Strategy<Value = Cidr> {
        // Few distinct address bits, so that prefixes meet.
        let v4 = (any::<u8>(), 0..=32_u8).prop_map(|(a, l)| Cidr::new(Family::V4, u128::from(a) << 118, l));
        let v6 = (any::<u8>(), 0..=128_u8).prop_map(|(a, l)| Cidr::new(Family::V6, u128::from(a) << 60, l));
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn agrees_with_halving(cidr in any_cidr(), except in prop::collection::vec(any_cidr(), 0..6)) {
            let mut expected = model(cidr, &except);
            expected.sort_unstable();
            prop_assert_eq!(resultant(cidr, &except), expected);
        }
    }
}
