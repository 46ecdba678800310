use super::*;

/// Every spelling, with the rule that refuses it.
const REFUSED: &[(&str, Rule)] = &[
    // Loopback, as people try to hide it.
    ("127.0.0.1", Rule::Loopback),
    ("127.255.255.254", Rule::Loopback),
    ("127.1", Rule::Loopback),
    ("127.0.1", Rule::Loopback),
    ("2130706433", Rule::Loopback),
    ("0x7f000001", Rule::Loopback),
    ("0x7F.0x0.0x0.0x1", Rule::Loopback),
    ("0x7f.1", Rule::Loopback),
    ("0177.0.0.1", Rule::Loopback),
    ("017700000001", Rule::Loopback),
    ("00000177.0.0.1", Rule::Loopback),
    ("127.0.0.1.", Rule::Loopback),
    ("127%2e0%2e0%2e1", Rule::Loopback),
    ("%31%32%37.0.0.1", Rule::Loopback),
    ("１２７.０.０.１", Rule::Loopback),
    ("①②⑦.⓪.⓪.①", Rule::Loopback),
    ("127。0。0。1", Rule::Loopback),
    ("localhost", Rule::Loopback),
    ("LOCALHOST", Rule::Loopback),
    ("localhost.", Rule::Loopback),
    ("api.localhost", Rule::Loopback),
    ("ｌｏｃａｌｈｏｓｔ", Rule::Loopback),
    ("[::1]", Rule::Loopback),
    ("[0:0:0:0:0:0:0:1]", Rule::Loopback),
    // Nowhere in particular.
    ("0.0.0.0", Rule::Unspecified),
    ("0", Rule::Unspecified),
    ("0x0", Rule::Unspecified),
    ("0.1.2.3", Rule::Unspecified),
    ("[::]", Rule::Unspecified),
    // Private networks.
    ("10.0.0.1", Rule::Private),
    ("10.255.255.255", Rule::Private),
    ("0xa.1", Rule::Private),
    ("172.16.0.1", Rule::Private),
    ("172.31.255.255", Rule::Private),
    ("192.168.0.1", Rule::Private),
    ("3232235777", Rule::Private),
    ("0300.0250.1.1", Rule::Private),
    ("192.168.257", Rule::Private),
    ("100.64.0.1", Rule::CarrierGradeNat),
    ("100.127.255.255", Rule::CarrierGradeNat),
    ("169.254.0.1", Rule::LinkLocal),
    ("169.254.255.254", Rule::LinkLocal),
    ("[fe80::1]", Rule::LinkLocal),
    ("[febf:ffff::1]", Rule::LinkLocal),
    ("[fec0::1]", Rule::SiteLocal),
    ("[fc00::1]", Rule::UniqueLocal),
    ("[fd12:3456:789a::1]", Rule::UniqueLocal),
    // Metadata services.
    ("169.254.169.254", Rule::Metadata),
    ("0xa9fea9fe", Rule::Metadata),
    ("2852039166", Rule::Metadata),
    ("0251.0376.0251.0376", Rule::Metadata),
    ("169.254.170.2", Rule::Metadata),
    ("169.254.170.23", Rule::Metadata),
    ("100.100.100.200", Rule::Metadata),
    ("192.0.0.192", Rule::Metadata),
    ("168.63.129.16", Rule::Metadata),
    ("[fd00:ec2::254]", Rule::Metadata),
    ("[fd00:ec2::23]", Rule::Metadata),
    ("[fd20:ce::254]", Rule::Metadata),
    ("[fd00:c1::a9fe:a9fe]", Rule::Metadata),
    ("[fd00:42::42]", Rule::Metadata),
    ("[64:ff9b::a9fe:a9fe]", Rule::Metadata),
    // Nobody's, or everybody's.
    ("192.0.0.1", Rule::Reserved),
    ("192.0.2.1", Rule::Documentation),
    ("198.51.100.1", Rule::Documentation),
    ("203.0.113.255", Rule::Documentation),
    ("[2001:db8::1]", Rule::Documentation),
    ("[3fff:fff::1]", Rule::Documentation),
    ("198.18.0.1", Rule::Benchmark),
    ("198.19.255.255", Rule::Benchmark),
    ("[2001:2::1]", Rule::Benchmark),
    ("224.0.0.1", Rule::Multicast),
    ("239.255.255.255", Rule::Multicast),
    ("[ff02::1]", Rule::Multicast),
    ("240.0.0.1", Rule::Reserved),
    ("255.255.255.254", Rule::Reserved),
    ("255.255.255.255", Rule::Broadcast),
    ("4294967295", Rule::Broadcast),
    ("[100::1]", Rule::Discard),
    ("[100:0:0:1::1]", Rule::Discard),
    ("[2001:10::1]", Rule::Orchid),
    ("[2001:20::1]", Rule::Orchid),
    ("[2001:30::1]", Rule::Orchid),
    ("[2001:1::1]", Rule::Reserved),
    ("[3ffe::1]", Rule::Reserved),
    ("[5f00::1]", Rule::Reserved),
    ("[4000::1]", Rule::Reserved),
    ("[1::1]", Rule::Reserved),
    ("[200::1]", Rule::Reserved),
    // IPv4 within IPv6.
    ("[::ffff:127.0.0.1]", Rule::EmbeddedIpv4),
    ("[::ffff:7f00:1]", Rule::EmbeddedIpv4),
    ("[::ffff:8.8.8.8]", Rule::EmbeddedIpv4),
    ("[::127.0.0.1]", Rule::EmbeddedIpv4),
    ("[::ffff:0:10.0.0.1]", Rule::EmbeddedIpv4),
    ("192.88.99.1", Rule::SixToFour),
    ("[2002:7f00:1::]", Rule::SixToFour),
    ("[2002:808:808::1]", Rule::SixToFour),
    ("[2001:0:4136:e378:8000:63bf:3fff:fdd2]", Rule::Teredo),
    ("[64:ff9b::127.0.0.1]", Rule::Loopback),
    ("[64:ff9b::10.0.0.1]", Rule::Private),
    ("[64:ff9b:1::8.8.8.8]", Rule::LocalNat64),
    ("[2a00:1450::5efe:192.168.0.1]", Rule::Isatap),
    ("[2a00:1450::200:5efe:8.8.8.8]", Rule::Isatap),
];

const ALLOWED: &[&str] = &[
    "example.com",
    "xn--bcher-kva.example",
    "localhost.example.com",
    "8.8.8.8",
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "[2001:200::1]",
    "[2001:4860:4860::8888]",
    "[2606:4700:4700::1111]",
    "[2a00:1450:4001::5efd:0:1]",
    "[64:ff9b::8.8.8.8]",
];

fn judged(policy: &Policy, host: &str) -> Result<(), Refused> {
    policy.check_url(&format!("https://{host}/hook").parse().unwrap())
}

fn allowing(networks: &[&str]) -> Policy {
    let allow_networks = networks.iter().map(|text| network(text).unwrap()).collect();
    EgressFlags { allow_networks, allow_http: false }.policy()
}

#[test]
fn every_spelling_of_an_address_that_is_not_public_is_refused_by_its_rule() {
    for (host, expected) in REFUSED {
        match judged(&Policy::default(), host) {
            Err(Refused::Address { rule, .. }) => assert_eq!(rule, *expected, "{host}"),
            other => panic!("{host}: {other:?}"),
        }
    }
}

#[test]
fn addresses_just_outside_the_networks_are_allowed() {
    for host in ALLOWED {
        assert_eq!(judged(&Policy::default(), host), Ok(()), "{host}");
    }
}

#[test]
fn spellings_that_are_no_host_at_all_are_no_url() {
    for host in ["256.0.0.1", "127.0.0.1.1", "0x1ffffffff", "1.2.3.4.5", "[::1", "[fe80::1%25eth0]", "127.0.0.1%00.x"] {
        assert!(Url::parse(&format!("https://{host}/hook")).is_err(), "{host}");
    }
}

#[test]
fn without_tls_or_with_a_user_name_a_url_is_refused() {
    let strict = Policy::default();
    let check = |policy: &Policy, url: &str| policy.check_url(&url.parse().unwrap());
    assert_eq!(check(&strict, "http://example.com/"), Err(Refused::Http));
    let open = EgressFlags { allow_networks: Vec::new(), allow_http: true }.policy();
    assert_eq!(check(&open, "http://example.com/"), Ok(()));
    for scheme in ["ftp", "file", "gopher", "ws"] {
        let refused = check(&open, &format!("{scheme}://example.com/"));
        assert_eq!(refused, Err(Refused::Scheme { scheme: scheme.to_owned() }));
    }
    for user in ["user@", ":word@", "user:word@", "example.com:443@"] {
        assert_eq!(check(&strict, &format!("https://{user}example.com/")), Err(Refused::UserInfo), "{user}");
    }
}

#[test]
fn an_allowed_network_opens_itself_and_nothing_beside_it() {
    let policy = allowing(&["10.1.0.0/16", "fd12::/32"]);
    for host in ["10.1.2.3", "[fd12::5]", "0xa.0x1.0x1"] {
        assert_eq!(judged(&policy, host), Ok(()), "{host}");
    }
    for host in ["10.2.0.1", "127.0.0.1", "[fd13::1]", "[::ffff:10.1.2.3]"] {
        assert!(judged(&policy, host).is_err(), "{host}");
    }
}

#[test]
fn a_metadata_service_is_allowed_only_by_its_own_address() {
    assert!(judged(&allowing(&["169.254.0.0/16"]), "169.254.169.254").is_err());
    assert!(judged(&allowing(&["0.0.0.0/0"]), "169.254.169.254").is_err());
    assert!(judged(&allowing(&["fd00::/8"]), "[fd00:ec2::254]").is_err());
    assert_eq!(judged(&allowing(&["169.254.169.254"]), "169.254.169.254"), Ok(()));
}

#[test]
fn one_refused_address_refuses_the_whole_name() {
    let addresses = ["8.8.8.8", "10.0.0.1", "1.1.1.1"].map(|text| text.parse().unwrap());
    let refused = Policy::default().judge("merchant.test", addresses.to_vec()).unwrap_err();
    assert_eq!(refused.to_string(), "merchant.test is at 10.0.0.1, a private address: nothing is sent there");
    let literal = judged(&Policy::default(), "[::1]").unwrap_err();
    assert_eq!(literal.to_string(), "::1 is a loopback address: nothing is sent there");
}

#[test]
fn a_network_is_written_in_cidr_notation_or_as_one_address() {
    assert_eq!(network("10.1.2.3/16").unwrap().to_string(), "10.1.0.0/16");
    assert_eq!(network("::1").unwrap().to_string(), "::1/128");
    for text in ["", "10.1/16", "10.0.0.0/33", "example.com", "10.0.0.0/8,"] {
        assert!(network(text).is_err(), "{text}");
    }
}
