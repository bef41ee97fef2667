//! CIDR arithmetic: the prefixes that are left of a CIDR after its exceptions are taken out.

use std::net::IpAddr;

use ipnet::IpNet;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Text that is not a CIDR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a CIDR: write 10.0.0.0/8 or fd00::/8")]
pub struct ParseCidrError {
    text: String,
}

impl Family {
    /// Returns the family of a prefix.
    pub const fn of(cidr: &IpNet) -> Self {
        match cidr {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }
}

/// Reads a prefix and clears its host bits; a single address is a prefix of full length.
///
/// # Errors
/// Fails when the text is neither an address nor a prefix.
pub fn parse_cidr(text: &str) -> Result<IpNet, ParseCidrError> {
    let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
    let cidr = text.parse::<IpNet>().ok().or_else(address);
    cidr.map(|cidr| cidr.trunc()).ok_or_else(|| ParseCidrError { text: text.to_owned() })
}

/// Returns the other half of the prefix one bit shorter; `None` for a prefix of length zero.
pub(crate) fn sibling(cidr: IpNet) -> Option<IpNet> {
    let mut halves = cidr.supernet()?.subnets(cidr.prefix_len()).ok()?;
    halves.find(|half| *half != cidr)
}

/// Returns the prefixes that are left of a CIDR after its exceptions are taken out: as few as possible, sorted.
pub fn resultant(cidr: IpNet, except: &[IpNet]) -> Vec<IpNet> {
    let mut left = vec![cidr];
    for hole in except {
        let (hit, mut rest): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|cidr| cidr.contains(hole) || hole.contains(cidr));
        // The siblings of every prefix between the CIDR and the hole cover what surrounds the hole.
        for cidr in hit.iter().filter(|cidr| cidr.contains(hole)) {
            let path = std::iter::successors(Some(*hole), IpNet::supernet)
                .take_while(|at| at.prefix_len() > cidr.prefix_len());
            rest.extend(path.filter_map(sibling));
        }
        left = rest;
    }
    left.sort_unstable();
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn cidr(text: &str) -> IpNet {
        parse_cidr(text).unwrap()
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
        assert!(parse_cidr(text).is_err());
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
    fn model(cidr: IpNet, except: &[IpNet]) -> Vec<IpNet> {
        if except.iter().any(|hole| hole.contains(&cidr)) {
            return Vec::new();
        }
        if !except.iter().any(|hole| cidr.contains(hole)) {
            return vec![cidr];
        }
        let halves = cidr.subnets(cidr.prefix_len() + 1).unwrap();
        halves.flat_map(|half| model(half, except)).collect()
    }

    fn any_cidr() -> impl Strategy<Value = IpNet> {
        // Few distinct address bits, so that prefixes meet.
        let v4 = (any::<u8>(), 0..=32_u8).prop_map(|(a, l)| {
            let address = std::net::Ipv4Addr::from(u32::from(a) << 22);
            IpNet::new(address.into(), l).unwrap().trunc()
        });
        let v6 = (any::<u8>(), 0..=128_u8).prop_map(|(a, l)| {
            let address = std::net::Ipv6Addr::from(u128::from(a) << 60);
            IpNet::new(address.into(), l).unwrap().trunc()
        });
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
