//! IPv4 prefixes as policies write them.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Text that is not an IPv4 prefix.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not an IPv4 prefix such as 10.244.0.0/24")]
pub(crate) struct CidrError(String);

/// Parses `10.0.0.0/8` and clears its host bits; an address without a length is a /32.
pub(crate) fn parse(text: &str) -> Result<Ipv4Net, CidrError> {
    let prefix = text.parse::<Ipv4Net>().map(|prefix| prefix.trunc()).ok();
    let address = || text.parse::<Ipv4Addr>().map(Ipv4Net::from).ok();
    prefix.or_else(address).ok_or_else(|| CidrError(text.to_owned()))
}

/// Returns the two halves of a prefix; a single address has none.
pub(crate) fn halves(prefix: Ipv4Net) -> Option<[Ipv4Net; 2]> {
    let mut halves = prefix.subnets(prefix.prefix_len().checked_add(1)?).ok()?;
    Some([halves.next()?, halves.next()?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::prefix("0.0.0.0/0", "0.0.0.0/0")]
    #[case::address("10.1.1.1", "10.1.1.1/32")]
    #[case::host_bits("10.244.1.9/24", "10.244.1.0/24")]
    fn parses(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(parse(text).unwrap().to_string(), expected);
    }

    #[rstest]
    #[case::too_long("10.0.0.0/33")]
    #[case::ipv6("fd00::/8")]
    #[case::name("cilium.io")]
    fn refuses(#[case] text: &str) {
        assert!(parse(text).is_err());
    }

    #[rstest]
    #[case::everything("0.0.0.0/0", Some(["0.0.0.0/1", "128.0.0.0/1"]))]
    #[case::smallest("10.0.0.2/31", Some(["10.0.0.2/32", "10.0.0.3/32"]))]
    #[case::address("10.0.0.2/32", None)]
    fn splits(#[case] prefix: &str, #[case] expected: Option<[&str; 2]>) {
        let expected = expected.map(|halves| halves.map(|half| half.parse().unwrap()));
        assert_eq!(halves(prefix.parse().unwrap()), expected);
    }
}
