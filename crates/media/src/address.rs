//! Which addresses a file may be fetched from.
//!
//! Anyone who can write a message can name a URL. Only public addresses are dialled, so that such
//! a URL cannot reach what only this machine or this network can reach (server-side request
//! forgery). An operator may allow others by address, never by name, because the owner of a name
//! decides where it points.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks of IPv4 that are not public: IANA's special-purpose registry, multicast, and the
/// address of Azure's metadata service, which looks public.
const CLOSED_V4: [([u8; 4], u8); 18] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    // Link-local, with the metadata services of most clouds (169.254.169.254).
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([192, 175, 48, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 3),
    ([168, 63, 129, 16], 32),
];

/// The part of IPv6 that is public (global unicast).
const OPEN_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Networks within it that are not: protocol assignments with Teredo, documentation, 6to4.
const CLOSED_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// The prefix under which a translator (NAT64) reaches an address of IPv4.
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// An address, or a network, that may be dialled although it is not public.
///
/// Written as `10.1.2.3`, `10.1.0.0/16`, `127.0.0.1:8090`, `::1` or `[::1]:8090`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    network: IpNet,
    /// The only port, if there is one.
    port: Option<u16>,
}

impl Allowed {
    fn admits(&self, address: IpAddr, port: u16) -> bool {
        self.network.contains(&address) && self.port.is_none_or(|only| only == port)
    }
}

const PORT_0: &str = "names port 0, at which no server listens: name the server's port, or \
                      leave the port out to allow all";

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(address) = text.parse::<SocketAddr>() {
            if address.port() == 0 {
                return Err(PORT_0.to_owned());
            }
            let network = address.ip().to_canonical().into();
            return Ok(Self { network, port: Some(address.port()) });
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { network: address.to_canonical().into(), port: None });
        }
        let network = text.parse::<IpNet>().map_err(|_| {
            "is not an address: write for example \"10.1.2.3\", \"10.1.0.0/16\" or \
             \"127.0.0.1:8090\"; a name is not allowed, because its owner decides where it points"
                .to_owned()
        })?;
        Ok(Self { network: network.trunc(), port: None })
    }
}

/// Decides which addresses may be dialled.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressPolicy {
    allowed: Vec<Allowed>,
}

impl AddressPolicy {
    /// Public addresses, and `allowed`.
    pub(crate) fn new(allowed: Vec<Allowed>) -> Self {
        Self { allowed }
    }

    /// Whether this address may be dialled at this port.
    pub(crate) fn admits(&self, address: IpAddr, port: u16) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.allowed.iter().any(|allowed| allowed.admits(address, port))
    }

    /// The ports that an entry names. For all others, the policy does not depend on the port.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        self.allowed.iter().filter_map(|allowed| allowed.port)
    }
}

/// Whether an address is reachable for everyone on the internet.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) if within(NAT64, address) => {
            let [.., a, b, c, d] = address.octets();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(address) => {
            within(OPEN_V6, address) && !CLOSED_V6.iter().any(|closed| within(*closed, address))
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !CLOSED_V4
        .iter()
        .any(|(network, length)| Ipv4Net::new_assert((*network).into(), *length).contains(&address))
}

fn within((network, length): (Ipv6Addr, u8), address: Ipv6Addr) -> bool {
    Ipv6Net::new_assert(network, length).contains(&address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_dialled() {
        let policy = AddressPolicy::default();
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!policy.admits(address.parse().unwrap(), 443), "{address}");
        }
        for address in [
            "1.1.1.1",
            "52.18.4.9",
            "172.32.0.1",
            "192.167.255.255",
            "223.255.255.255",
            "::ffff:52.18.4.9",
            "64:ff9b::3412:409",
            "2606:4700::1111",
            "2a00:1450:4001::1",
        ] {
            assert!(policy.admits(address.parse().unwrap(), 443), "{address}");
        }
    }

    #[test]
    fn an_operator_allows_addresses_and_no_names() {
        let allowed = ["10.1.0.0/16", "127.0.0.1:8090", "[::1]:8090", "192.168.7.9"];
        let allowed: Vec<Allowed> = allowed.iter().map(|text| text.parse().unwrap()).collect();
        let policy = AddressPolicy::new(allowed);
        for (address, port, admitted) in [
            ("10.1.200.3", 80, true),
            ("::ffff:10.1.200.3", 80, true),
            ("10.2.0.1", 80, false),
            ("127.0.0.1", 8090, true),
            ("127.0.0.1", 8091, false),
            ("127.0.0.2", 8090, false),
            ("::1", 8090, true),
            ("::1", 80, false),
            ("192.168.7.9", 1, true),
        ] {
            assert_eq!(policy.admits(address.parse().unwrap(), port), admitted, "{address}:{port}");
        }
        for name in ["files.internal", "localhost:80", "", "*", "10.0.0.0/33", "http://10.0.0.1"] {
            assert!(name.parse::<Allowed>().is_err(), "{name}");
        }
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let refused = address.parse::<Allowed>().unwrap_err();
            assert!(refused.contains("port 0"), "{address}: {refused}");
        }
    }
}
