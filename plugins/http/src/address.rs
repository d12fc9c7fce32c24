//! Which addresses a job may reach: public ones, so that people who enqueue jobs cannot reach into the operator's
//! network.
//!
//! Pure: nothing is resolved or connected here. Names are judged by what they resolve to, in [`crate::connect`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Public addresses.
    Public,
    /// Every address.
    All,
    /// One address, so that tests have one of this machine's to allow and another to refuse.
    #[cfg(test)]
    Only(IpAddr),
}

/// An address that a job may not reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The name that led to it; empty if it was written as it is.
    pub name: String,
    pub address: IpAddr,
    /// Which kind of address it is.
    pub why: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused { name, address, why } = self;
        if !name.is_empty() {
            write!(f, "'{name}' is ")?;
        }
        write!(
            f,
            "{address}, which is refused ({why}); only the operator can allow addresses that are not public: \
             config:set http.allow_private true"
        )
    }
}

impl std::error::Error for Refused {}

impl Rule {
    /// Checks an address.
    pub fn check(self, address: IpAddr) -> Result<(), Refused> {
        let why = match (self, address) {
            (Rule::All, _) => None,
            #[cfg(test)]
            (Rule::Only(one), _) => (address != one).then_some("not the one"),
            (Rule::Public, IpAddr::V4(address)) => refusal_v4(address),
            (Rule::Public, IpAddr::V6(address)) => refusal_v6(address),
        };
        let name = String::new();
        why.map_or(Ok(()), |why| Err(Refused { name, address, why }))
    }
}

/// IPv4 that is not public, by the registry of special-purpose addresses, and one public address of a cloud.
const REFUSED_V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a carrier"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(168, 63, 129, 16), 32, "cloud metadata"),
    (Ipv4Addr::new(169, 254, 169, 254), 32, "cloud metadata"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// The same for IPv6, beyond the rule that public addresses begin with the bits 001.
const REFUSED_V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "this network"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, "IPv4-mapped"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "for protocols"),
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        "for documentation",
    ),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),
        20,
        "for documentation",
    ),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "unique-local"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within = |net: Ipv4Addr, length: u32| (address.to_bits() ^ net.to_bits()).leading_zeros() >= length;
    let mut table = REFUSED_V4.iter();
    table
        .find(|(net, length, _)| within(*net, *length))
        .map(|(.., why)| *why)
}

fn refusal_v6(address: Ipv6Addr) -> Option<&'static str> {
    let within = |net: Ipv6Addr, length: u32| (address.to_bits() ^ net.to_bits()).leading_zeros() >= length;
    // How a network without IPv4 reaches it: what counts is the address inside.
    if within(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96) {
        return refusal_v4(Ipv4Addr::from_bits(address.to_bits() as u32));
    }
    let mut table = REFUSED_V6.iter();
    let listed = table.find(|(net, length, _)| within(*net, *length));
    let public = within(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
    listed.map(|(.., why)| *why).or((!public).then_some("not public"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_told_from_all_others() {
        let refused = [
            ("0.0.0.0", "this network"),
            ("0.255.255.255", "this network"),
            ("10.0.0.0", "private"),
            ("10.255.255.255", "private"),
            ("100.64.0.0", "shared by a carrier"),
            ("100.100.100.200", "shared by a carrier"),
            ("100.127.255.255", "shared by a carrier"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("168.63.129.16", "cloud metadata"),
            ("169.254.169.254", "cloud metadata"),
            ("169.254.0.0", "link-local"),
            ("169.254.255.255", "link-local"),
            ("172.16.0.0", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.192", "for protocols"),
            ("192.0.2.1", "for documentation"),
            ("192.88.99.1", "6to4 relay"),
            ("192.168.0.0", "private"),
            ("192.168.255.255", "private"),
            ("198.18.0.0", "for benchmarks"),
            ("198.19.255.255", "for benchmarks"),
            ("198.51.100.7", "for documentation"),
            ("203.0.113.255", "for documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.0", "reserved"),
            ("255.255.255.255", "reserved"),
            ("::", "this network"),
            ("::1", "loopback"),
            ("::2", "not public"),
            ("::127.0.0.1", "not public"),
            ("::ffff:127.0.0.1", "IPv4-mapped"),
            ("::ffff:8.8.8.8", "IPv4-mapped"),
            ("64:ff9b::10.0.0.1", "private"),
            ("64:ff9b::169.254.169.254", "cloud metadata"),
            ("64:ff9b:1::8.8.8.8", "not public"),
            ("100::1", "not public"),
            ("2001::1", "for protocols"),
            ("2001:1ff:ffff::", "for protocols"),
            ("2001:db8::1", "for documentation"),
            ("2002:7f00:1::", "6to4"),
            ("3fff:fff::1", "for documentation"),
            ("4000::1", "not public"),
            ("5f00::1", "not public"),
            ("fc00::1", "unique-local"),
            ("fd00:ec2::254", "unique-local"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "not public"),
            ("ff02::1", "multicast"),
        ];
        for (text, why) in refused {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(
                Rule::Public.check(address).map_err(|no| no.why),
                Err(why),
                "{text}"
            );
            assert_eq!(Rule::All.check(address), Ok(()), "{text}");
        }
        for text in [
            "1.0.0.0",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "64:ff9b::8.8.8.8",
            "2001:200::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1111",
            "3ffe::1",
        ] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(Rule::Public.check(address), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_refusal_says_what_and_who_could_allow_it() {
        let refused = Rule::Public.check(Ipv4Addr::LOCALHOST.into()).unwrap_err();
        let text = "127.0.0.1, which is refused (loopback); only the operator can allow addresses that are not \
                    public: config:set http.allow_private true";
        assert_eq!(refused.to_string(), text);
        let named = Refused {
            name: "a.example".to_owned(),
            ..refused
        };
        assert_eq!(named.to_string(), format!("'a.example' is {text}"));
    }
}
