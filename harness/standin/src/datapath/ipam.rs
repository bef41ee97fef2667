//! Addresses for the pods of a node.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Every address of the node's prefix is in use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("every address of {0} is in use; delete pods from this node or give it a larger pod prefix")]
pub(crate) struct Exhausted(Ipv4Net);

/// Chooses the next free address after the last one given, so that a released address rests for a while.
///
/// The first host address stays free, as upstream keeps it for the node's router.
pub(crate) fn next(
    cidr: Ipv4Net,
    last: Option<Ipv4Addr>,
    in_use: impl Fn(Ipv4Addr) -> bool,
) -> Result<Ipv4Addr, Exhausted> {
    let hosts = || cidr.hosts().skip(1);
    let after = hosts().filter(|ip| last.is_none_or(|last| *ip > last));
    after.chain(hosts()).find(|ip| !in_use(*ip)).ok_or(Exhausted(cidr))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn ip(host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, 0, host)
    }

    #[rstest]
    #[case::first(None, &[], 2)]
    #[case::skips_used(None, &[2, 3], 4)]
    #[case::goes_on_after_the_last(Some(4), &[2], 5)]
    #[case::wraps(Some(6), &[2], 3)]
    fn gives(#[case] last: Option<u8>, #[case] used: &[u8], #[case] expected: u8) {
        let cidr = "10.244.0.0/29".parse().unwrap();
        let given = next(cidr, last.map(ip), |it| used.contains(&it.octets()[3]));
        assert_eq!(given, Ok(ip(expected)));
    }

    #[test]
    fn says_when_nothing_is_left() {
        let cidr = "10.244.0.0/30".parse().unwrap();
        assert_eq!(next(cidr, None, |_| true), Err(Exhausted(cidr)));
    }
}
