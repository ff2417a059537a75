//! The addresses to which requests may go.

use ipnet::{IpNet, Ipv4Net};
use pullyard_domain::text::address::is_public;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Ranges of addresses that are allowed in addition to the public internet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedRanges(Vec<IpNet>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no range of addresses; write it as 10.20.0.0/16 or fd00::/8")]
pub struct RangeError(pub(crate) String);

/// Parses ranges that are separated by commas; an empty text has none.
impl FromStr for AllowedRanges {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| part.parse().map_err(|_| RangeError(part.to_owned()))).collect::<Result<_, _>>().map(Self)
    }
}

impl AllowedRanges {
    /// The addresses of this machine, for `up` and for tests.
    pub fn loopback() -> Self {
        let v4 = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
        Self(vec![v4.into(), IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST))])
    }

    /// Whether a range contains the address.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(&address))
    }

    pub(crate) fn permit(&self, address: IpAddr) -> bool {
        is_public(address) || self.contain(address)
    }
}
