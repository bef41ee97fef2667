//! IPv4 prefixes.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An IPv4 prefix, kept with its host bits cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cidr {
    addr: Ipv4Addr,
    len: u8,
}

/// A text that is no IPv4 prefix.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not an IPv4 prefix such as 10.244.0.0/24")]
pub(crate) struct CidrError(String);

impl Cidr {
    /// The network address.
    pub(crate) fn addr(self) -> Ipv4Addr {
        self.addr
    }

    /// The prefix length.
    pub(crate) fn len(self) -> u8 {
        self.len
    }

    /// Says whether `ip` lies in the prefix.
    pub(crate) fn contains(self, ip: Ipv4Addr) -> bool {
        u32::from(ip) & self.mask() == u32::from(self.addr)
    }

    /// Says whether another prefix lies inside this one or is the same.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.len <= other.len && self.contains(other.addr)
    }

    /// The two halves; a single address has none.
    pub(crate) fn halves(self) -> Option<[Self; 2]> {
        let len = self.len.checked_add(1).filter(|len| *len <= 32)?;
        let upper = u32::from(self.addr) | 1 << (32 - len);
        Some([self.addr, Ipv4Addr::from(upper)].map(|addr| Self { addr, len }))
    }

    /// The addresses that a host can have: all but the first and the last.
    pub(crate) fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        let first = u32::from(self.addr);
        let last = first | !self.mask();
        (first.saturating_add(1)..last).map(Ipv4Addr::from)
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.len)).unwrap_or(0)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `10.0.0.0/8`; a bare address is a /32, as in policies.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (addr, len) = text.split_once('/').unwrap_or((text, "32"));
            let addr: Ipv4Addr = addr.parse().ok()?;
            let len: u8 = len.parse().ok().filter(|len| *len <= 32)?;
            let unmasked = Self { addr, len };
            Some(Self { addr: Ipv4Addr::from(u32::from(addr) & unmasked.mask()), len })
        };
        parse().ok_or_else(|| CidrError(text.to_owned()))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::inside("10.244.1.0/24", "10.244.1.7", true)]
    #[case::outside("10.244.1.0/24", "10.244.2.7", false)]
    #[case::default_prefix("0.0.0.0/0", "203.0.113.9", true)]
    #[case::single("10.1.1.1", "10.1.1.1", true)]
    #[case::host_bits_are_cleared("10.244.1.9/24", "10.244.1.7", true)]
    fn contains(#[case] cidr: Cidr, #[case] ip: Ipv4Addr, #[case] inside: bool) {
        assert_eq!(cidr.contains(ip), inside);
    }

    #[rstest]
    #[case::too_long("10.0.0.0/33")]
    #[case::ipv6("fd00::/8")]
    #[case::name("cilium.io")]
    fn refuses(#[case] text: &str) {
        assert!(text.parse::<Cidr>().is_err());
    }

    #[test]
    fn hosts_leave_out_network_and_broadcast() {
        let hosts: Vec<_> = "10.0.0.0/30".parse::<Cidr>().unwrap().hosts().collect();
        assert_eq!(hosts, [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)]);
    }
}
