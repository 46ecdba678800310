//! Whatever the address and however it is spelled, the policy says what the address deserves.

use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;

/// One number of an address: decimal, octal or hexadecimal, with zeros before it or not.
fn number(value: u64, form: u8, zeros: usize) -> String {
    let zeros = "0".repeat(zeros);
    match form % 4 {
        0 => value.to_string(),
        1 => format!("0{zeros}{value:o}"),
        2 => format!("0x{zeros}{value:x}"),
        _ => format!("0X{zeros}{value:X}"),
    }
}

/// An IPv4 address of one to four parts, the last of which holds what is left.
fn dotted(address: u32, parts: u32, forms: [u8; 4], zeros: usize) -> String {
    let before = (0..parts - 1).map(|part| u64::from(address >> (24 - 8 * part) & 0xff));
    let rest = u64::from(address) & ((1_u64 << (8 * (5 - parts))) - 1);
    let numbers = before.chain([rest]).zip(forms).map(|(value, form)| number(value, form, zeros));
    numbers.collect::<Vec<_>>().join(".")
}

/// The same text to a browser: percent signs, other scripts' digits and dots, a dot at the end.
fn disguised(text: &str, disguise: u8) -> String {
    let wide = |c: char| char::from_u32(u32::from(c) - 0x21 + 0xff01).unwrap();
    match disguise % 5 {
        0 => text.to_owned(),
        1 => format!("{text}."),
        2 => text.bytes().map(|byte| format!("%{byte:02x}")).collect(),
        3 => text.chars().map(wide).collect(),
        _ => text.replace('.', "\u{3002}"),
    }
}

/// Half of them from the networks that nothing is sent to, and from just beside them.
fn ipv4() -> impl Strategy<Value = Ipv4Addr> {
    let starts = [
        "0.0.0.0",
        "10.0.0.0",
        "100.64.0.0",
        "127.0.0.0",
        "169.254.169.254",
        "172.16.0.0",
        "172.32.0.0",
        "192.0.0.0",
        "192.168.0.0",
        "198.18.0.0",
        "224.0.0.0",
        "255.255.255.255",
        "168.63.129.16",
    ];
    let near = prop::sample::select(starts.to_vec()).prop_flat_map(|start| {
        let start = u32::from(start.parse::<Ipv4Addr>().unwrap());
        (-2..300_i32).prop_map(move |offset| start.wrapping_add_signed(offset))
    });
    prop_oneof![any::<u32>(), near].prop_map(Ipv4Addr::from)
}

/// Half of them beginning as something special does.
fn ipv6() -> impl Strategy<Value = Ipv6Addr> {
    let starts = [
        "::",
        "::ffff:0:0",
        "64:ff9b::",
        "2001::",
        "2002::",
        "fc00::",
        "fe80::",
        "ff00::",
        "fd00:ec2::254",
        "2a00::5efe:0:0",
    ];
    let near =
        (prop::sample::select(starts.to_vec()), any::<u32>(), any::<bool>()).prop_map(|(start, low, is_exact)| {
            let start = u128::from(start.parse::<Ipv6Addr>().unwrap());
            if is_exact { start } else { start | u128::from(low) }
        });
    prop_oneof![any::<u128>(), near].prop_map(Ipv6Addr::from)
}

/// Shortened, in full, in capitals, or with an IPv4 address at its end.
fn spelled(address: Ipv6Addr, form: u8) -> String {
    let full = address.segments().map(|segment| format!("{segment:04x}"));
    match form % 4 {
        0 => address.to_string(),
        1 => full.join(":"),
        2 => full.join(":").to_uppercase(),
        _ => {
            let [.., a, b, c, d] = address.octets();
            format!("{}:{a}.{b}.{c}.{d}", full[..6].join(":"))
        }
    }
}

fn ruled(host: &str) -> Option<Rule> {
    match Policy::default().check_url(&format!("https://{host}/hook").parse().unwrap()) {
        Ok(()) => None,
        Err(Refused::Address { rule, .. }) => Some(rule),
        Err(other) => panic!("{host}: {other:?}"),
    }
}

proptest! {
    #[test]
    fn an_ipv4_address_is_judged_alike_in_every_spelling(
        address in ipv4(), parts in 1..=4_u32, forms: [u8; 4], zeros in 0..3_usize, disguise: u8
    ) {
        let host = disguised(&dotted(address.into(), parts, forms, zeros), disguise);
        prop_assert_eq!(ruled(&host), Rule::of(address.into()), "{} as {}", address, host);
    }

    #[test]
    fn an_ipv6_address_is_judged_alike_in_every_spelling(address in ipv6(), form: u8) {
        let host = format!("[{}]", spelled(address, form));
        prop_assert_eq!(ruled(&host), Rule::of(address.into()), "{} as {}", address, host);
    }

    #[test]
    fn an_ipv4_address_within_ipv6_is_not_let_through_if_it_is_refused_alone(address in ipv4()) {
        let [high, low] = [u32::from(address) >> 16, u32::from(address) & 0xffff];
        for prefix in ["::", "::ffff:", "::ffff:0:", "64:ff9b::", "2002:"] {
            let end = if prefix == "2002:" { "::1" } else { "" };
            let host = format!("[{prefix}{high:x}:{low:x}{end}]");
            let is_refused = Rule::of(address.into()).is_some();
            prop_assert!(!is_refused || ruled(&host).is_some(), "{}", host);
        }
    }

    #[test]
    fn a_zone_makes_no_url(address in ipv6(), zone in "%(25)?[a-z0-9]{0,6}") {
        let url = format!("https://[{address}{zone}]/hook");
        prop_assert!(Url::parse(&url).is_err(), "{}", url);
    }

    #[test]
    fn what_is_let_through_is_one_host_to_everybody(
        text in "(https?|HTTPS):/{0,3}[a-z0-9.%@:\\[\\]\"'{}|\\\\_~!$&()*+,;= -]{0,30}|.{0,40}"
    ) {
        if let Ok(uri) = Policy::default().target(&text) {
            let url = Url::parse(&text).unwrap();
            prop_assert_eq!(uri.host(), url.host_str());
            prop_assert_eq!(uri.scheme_str(), Some("https"));
            prop_assert!(!uri.authority().unwrap().as_str().contains('@'));
        }
    }

    #[test]
    fn a_network_is_read_as_it_was_written_or_refused(address in ipv4(), length in 0..=40_u8, text in ".{0,20}") {
        let read = network(&format!("{address}/{length}"));
        prop_assert_eq!(read.is_ok(), length <= 32);
        if let Ok(read) = read {
            prop_assert!(read.contains(&IpAddr::V4(address)));
            prop_assert_eq!(network(&read.to_string()), Ok(read));
        }
        let _ = network(&text);
    }
}

#[test]
fn a_host_that_no_request_can_be_written_to_is_refused() {
    for host in
        ["127\"e0.example", "a'b.example", "a{b}.example", "a*.example", "a,b.example", "a&b.example", "a!.example"]
    {
        let refused = Policy::default().check_url(&format!("https://{host}/").parse().unwrap());
        assert_eq!(refused, Err(Refused::HostName { host: host.to_owned() }));
    }
    let underscore = "https://_a.b_c.example/".parse().unwrap();
    assert_eq!(Policy::default().check_url(&underscore), Ok(()));
}
