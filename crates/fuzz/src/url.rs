//! URLs that strangers have named. What the policy lets through must not be a way to an address that is not public, in
//! whichever spelling, and must be the same host to everybody who reads it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chassis::egress::{EgressFlags, Policy, Rule};
use url::Url;

/// The input is a URL, or a host for one.
pub fn url(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    for text in [text, &format!("https://{text}/hook")] {
        let open = EgressFlags { allow_networks: Vec::new(), allow_http: true }.policy();
        for (policy, schemes) in [(Policy::default(), &["https"][..]), (open, &["https", "http"])] {
            check(text, &policy, schemes);
        }
    }
}

fn check(text: &str, policy: &Policy, schemes: &[&str]) {
    let stored = portal::inputs::endpoint_url(text, policy);
    if let Some(stored) = &stored {
        // What is stored is read again at each attempt, and must mean the same then.
        assert_eq!(portal::inputs::endpoint_url(stored, policy).as_ref(), Some(stored));
        assert!(policy.target(stored).is_ok(), "{stored} is stored and can't be sent to");
    }
    let Ok(uri) = policy.target(text) else { return };
    assert!(uri.scheme_str().is_some_and(|scheme| schemes.contains(&scheme)), "{uri}");
    assert!(uri.authority().is_some_and(|authority| !authority.as_str().contains('@')), "{uri}");
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let understood = Url::parse(text).ok();
    let understood = understood.as_ref().and_then(Url::host_str).unwrap_or_default().trim_matches(['[', ']']);
    assert_eq!(host, understood, "two hosts for {text:?}");
    assert!(!host.is_empty() && host != "localhost", "{uri}");
    if let Ok(address) = host.parse::<IpAddr>() {
        assert!(Rule::of(address).is_none() && is_public(address), "{uri} leads to {address}");
    }
}

/// A second opinion, of the standard library's words only.
fn is_public(address: IpAddr) -> bool {
    let is_public_v4 = |v4: Ipv4Addr| {
        !(v4.is_unspecified()
            || v4.is_loopback()
            || v4.is_private()
            || v4.is_link_local()
            || v4.is_multicast()
            || v4.is_broadcast()
            || v4.is_documentation())
    };
    let is_public_v6 = |v6: Ipv6Addr| {
        !(v6.is_unspecified()
            || v6.is_loopback()
            || v6.is_multicast()
            || v6.is_unique_local()
            || v6.is_unicast_link_local()
            || v6.to_ipv4().is_some())
    };
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}
