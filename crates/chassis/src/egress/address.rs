//! What an address is. The tables follow IANA's registries of special-purpose addresses; what is missing there are the
//! addresses that clouds have chosen for their metadata services.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Why an address is not a public one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// This host on this network.
    Unspecified,
    /// The machine itself.
    Loopback,
    /// RFC 1918.
    Private,
    /// The link that the machine is on.
    LinkLocal,
    /// Between a provider and its customers, RFC 6598.
    CarrierGradeNat,
    /// Hands out a virtual machine's credentials.
    Metadata,
    /// To many at once.
    Multicast,
    /// To all on the link.
    Broadcast,
    /// For examples in texts.
    Documentation,
    /// For measuring devices.
    Benchmark,
    /// For protocols, for the future, or given to nobody.
    Reserved,
    /// IPv6's private addresses.
    UniqueLocal,
    /// IPv6's former private addresses.
    SiteLocal,
    /// An IPv4 address in IPv6's notation: mapped, compatible or translated.
    EmbeddedIpv4,
    /// A tunnel to the IPv4 address in it.
    SixToFour,
    /// A tunnel to the IPv4 address in it.
    Teredo,
    /// A tunnel to the IPv4 address in it.
    Isatap,
    /// A translator within a network.
    LocalNat64,
    /// Whatever is sent there is thrown away.
    Discard,
    /// Names a key or a device, not a place.
    Orchid,
}

const fn v4(octets: [u8; 4], prefix_len: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_len)
}

const fn v6(segments: [u16; 8], prefix_len: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix_len)
}

/// The first that contains an address counts.
const IPV4: &[(Ipv4Net, Rule)] = &[
    (v4([169, 254, 169, 254], 32), Rule::Metadata),
    // Amazon's for containers: ECS, EKS.
    (v4([169, 254, 170, 2], 32), Rule::Metadata),
    (v4([169, 254, 170, 23], 32), Rule::Metadata),
    // Alibaba, Oracle, Azure; the last lies among public addresses.
    (v4([100, 100, 100, 200], 32), Rule::Metadata),
    (v4([192, 0, 0, 192], 32), Rule::Metadata),
    (v4([168, 63, 129, 16], 32), Rule::Metadata),
    (v4([0, 0, 0, 0], 8), Rule::Unspecified),
    (v4([10, 0, 0, 0], 8), Rule::Private),
    (v4([100, 64, 0, 0], 10), Rule::CarrierGradeNat),
    (v4([127, 0, 0, 0], 8), Rule::Loopback),
    (v4([169, 254, 0, 0], 16), Rule::LinkLocal),
    (v4([172, 16, 0, 0], 12), Rule::Private),
    (v4([192, 0, 0, 0], 24), Rule::Reserved),
    (v4([192, 0, 2, 0], 24), Rule::Documentation),
    // The anycast address of 6to4 relays.
    (v4([192, 88, 99, 0], 24), Rule::SixToFour),
    (v4([192, 168, 0, 0], 16), Rule::Private),
    (v4([198, 18, 0, 0], 15), Rule::Benchmark),
    (v4([198, 51, 100, 0], 24), Rule::Documentation),
    (v4([203, 0, 113, 0], 24), Rule::Documentation),
    (v4([224, 0, 0, 0], 4), Rule::Multicast),
    (v4([255, 255, 255, 255], 32), Rule::Broadcast),
    (v4([240, 0, 0, 0], 4), Rule::Reserved),
];

/// The first that contains an address counts.
const IPV6: &[(Ipv6Net, Rule)] = &[
    // Amazon's for machines and for containers, Google, Oracle, Scaleway.
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), Rule::Metadata),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128), Rule::Metadata),
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), Rule::Metadata),
    (v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128), Rule::Metadata),
    (v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128), Rule::Metadata),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), Rule::Unspecified),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Rule::Loopback),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), Rule::EmbeddedIpv4),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), Rule::EmbeddedIpv4),
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), Rule::EmbeddedIpv4),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), Rule::LocalNat64),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), Rule::Discard),
    (v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), Rule::Discard),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), Rule::Teredo),
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), Rule::Benchmark),
    (v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28), Rule::Orchid),
    (v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28), Rule::Orchid),
    (v6([0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28), Rule::Orchid),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Rule::Reserved),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Rule::Documentation),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), Rule::SixToFour),
    (v6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16), Rule::Reserved),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Rule::Documentation),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Rule::UniqueLocal),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Rule::LinkLocal),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), Rule::SiteLocal),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Rule::Multicast),
];

/// A translator to all of IPv4: on a host without IPv4 the only way to most receivers.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
/// All that has ever been given to anybody.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

impl Rule {
    /// Why the address is not a public one; none if it is.
    #[must_use]
    pub fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Option<Self> {
        IPV4.iter().find(|(network, _)| network.contains(&address)).map(|(_, rule)| *rule)
    }

    fn of_v6(address: Ipv6Addr) -> Option<Self> {
        if NAT64.contains(&address) {
            let [.., a, b, c, d] = address.octets();
            return Self::of_v4(Ipv4Addr::new(a, b, c, d));
        }
        if let Some((_, rule)) = IPV6.iter().find(|(network, _)| network.contains(&address)) {
            return Some(*rule);
        }
        if !GLOBAL_UNICAST.contains(&address) {
            return Some(Self::Reserved);
        }
        // The identifier of an ISATAP interface may follow any prefix.
        matches!(address.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, _, _]).then_some(Self::Isatap)
    }
}

/// Goes on after "is".
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::CarrierGradeNat => "an address of a carrier-grade NAT",
            Self::Metadata => "the address of a cloud's metadata service",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Documentation => "an address for documentation",
            Self::Benchmark => "an address for benchmarks",
            Self::Reserved => "a reserved address",
            Self::UniqueLocal => "a unique local address",
            Self::SiteLocal => "a site-local address",
            Self::EmbeddedIpv4 => "an IPv4 address in the notation of IPv6",
            Self::SixToFour => "an address of 6to4",
            Self::Teredo => "an address of Teredo",
            Self::Isatap => "an address of ISATAP",
            Self::LocalNat64 => "an address of a local NAT64",
            Self::Discard => "an address that discards everything",
            Self::Orchid => "an address of ORCHID",
        })
    }
}
