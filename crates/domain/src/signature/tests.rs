use proptest::prelude::*;

use super::*;

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIME: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;

/// The vectors of Standard Webhooks: the secret, the key that verifies, the signature.
const V1: (&str, &str, &str) = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
);
const V1A: (&str, &str, &str) = (
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
    "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
);

fn signed(signatures: &str) -> Signed<'_> {
    Signed { id: ID, timestamp_s: TIME, signatures, body: BODY }
}

#[test]
fn the_known_vectors_are_signed_alike() {
    for (secret, key, signature) in [V1, V1A] {
        let secret: Secret = secret.parse().unwrap();
        assert_eq!(secret.sign(ID, TIME, BODY), signature);
        assert_eq!(secret.key().expose(), key);
        assert_eq!(verify(&[key.parse().unwrap()], signed(signature), TIME), Ok(()));
    }
}

#[test]
fn any_matching_entry_is_accepted_and_nothing_else() {
    let other = Version::V1.secret([1; 32]).sign(ID, TIME, BODY);
    let other_pair = Version::V1a.secret([1; 32]).sign(ID, TIME, BODY);
    for (_, key, signature) in [V1, V1A] {
        let keys = [key.parse().unwrap()];
        let header = format!("v2,AAAA v1a v1,AAAA {other} v1a,AAAA {other_pair} {signature}");
        let signed = signed(&header);
        assert_eq!(verify(&keys, signed, TIME + TOLERANCE_S), Ok(()));
        assert_eq!(verify(&keys, signed, TIME + TOLERANCE_S + 1), Err(Refused::Timestamp));
        assert_eq!(verify(&keys, signed, TIME - TOLERANCE_S - 1), Err(Refused::Timestamp));
        for changed in [
            Signed { body: b"{}", ..signed },
            Signed { id: "other", ..signed },
            Signed { timestamp_s: TIME + 1, ..signed },
            Signed { signatures: &other, ..signed },
            Signed { signatures: &other_pair, ..signed },
            Signed { signatures: "", ..signed },
        ] {
            assert_eq!(verify(&keys, changed, TIME), Err(Refused::Signature), "{changed:?}");
        }
    }
}

#[test]
fn a_signature_of_one_version_is_not_taken_for_the_other_s() {
    let key = [V1.1.parse().unwrap()];
    assert_eq!(verify(&key, signed(&V1.2.replace("v1,", "v1a,")), TIME), Err(Refused::Signature));
    let key = [V1A.1.parse().unwrap()];
    assert_eq!(verify(&key, signed(&V1A.2.replace("v1a,", "v1,")), TIME), Err(Refused::Signature));
}

#[test]
fn one_of_several_keys_is_enough() {
    let keys: Vec<Key> = [Version::V1.secret([1; 32]).key().expose().as_str(), V1A.1, V1.1]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    for (_, _, signature) in [V1, V1A] {
        assert_eq!(verify(&keys, signed(signature), TIME), Ok(()));
    }
    assert_eq!(verify(&[], signed(V1.2), TIME), Err(Refused::Signature));
}

#[test]
fn a_secret_has_one_form_and_is_never_printed() {
    for (text, ..) in [V1, V1A] {
        let secret: Secret = text.parse().unwrap();
        assert_eq!(secret.expose(), text);
        assert_eq!(secret.key().shown().version(), secret.version());
        assert_eq!(secret.version().secret_from_bytes(&secret.expose_bytes()), Ok(secret.clone()));
        assert_eq!(format!("{secret:?} {:?}", secret.key()), "Secret(…) Key(…)");
        assert_ne!(secret, secret.version().secret([1; 32]));
    }
}

#[test]
fn what_is_no_secret_is_refused_without_being_repeated() {
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let pair = Version::V1a.secret([1; 32]).expose_bytes();
    let mut crossed = pair.clone();
    crossed[0] ^= 1;
    for (text, why) in [
        (base64(&[7; 32]), NotASecret::Prefix),
        (V1A.1.to_owned(), NotASecret::Prefix),
        ("whsec_*".to_owned(), NotASecret::Base64),
        ("whsk_*".to_owned(), NotASecret::Base64),
        (format!("whsec_{}", base64(&[7; 23])), NotASecret::Length { bytes: 23 }),
        (format!("whsec_{}", base64(&[7; 65])), NotASecret::Length { bytes: 65 }),
        (format!("whsk_{}", base64(&pair[..32])), NotASecret::Halves { bytes: 32 }),
        (format!("whsk_{}", base64(&crossed)), NotASecret::Mismatch),
    ] {
        let error = text.parse::<Secret>().unwrap_err();
        assert_eq!(error, why);
        assert!(!error.to_string().contains(text.split_once('_').map_or(&*text, |(_, rest)| rest)), "{error}");
    }
    for (text, why) in [
        (V1A.0.to_owned(), NotASecret::KeyPrefix),
        ("whpk_*".to_owned(), NotASecret::Base64),
        (format!("whpk_{}", base64(&pair)), NotASecret::Public),
        // The point of order one: everything would be signed by it.
        (format!("whpk_{}", base64(&[&[1][..], &[0; 31]].concat())), NotASecret::Public),
    ] {
        assert_eq!(text.parse::<Key>().unwrap_err(), why);
    }
    assert_eq!("whsec_MfKQ9r8".parse::<Version>().unwrap_err().to_string(), "a signature is v1 or v1a");
}

proptest! {
    #[test]
    fn a_secret_is_read_as_it_was_written_and_what_it_signs_is_accepted_until_a_byte_changes(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        body in prop::collection::vec(any::<u8>(), 1..100),
        at: prop::sample::Index
    ) {
        let text = format!("whsec_{}", STANDARD.encode(&bytes));
        let secret = text.parse::<Secret>();
        prop_assert_eq!(secret.is_ok(), (24..=64).contains(&bytes.len()));
        if let Ok(secret) = secret {
            prop_assert_eq!(secret.key().expose(), text);
            let signatures = secret.sign(ID, TIME, &body);
            let signed = Signed { id: ID, timestamp_s: TIME, signatures: &signatures, body: &body };
            prop_assert_eq!(verify(&[secret.key()], signed, TIME), Ok(()));
            let mut changed = body.clone();
            changed[at.index(body.len())] ^= 1;
            let changed = Signed { body: &changed, ..signed };
            prop_assert_eq!(verify(&[secret.key()], changed, TIME), Err(Refused::Signature));
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_without_repeating_it(text in "(whsec_|whsk_|whpk_)?[a-zA-Z0-9+/=]{8,90}|.{8,40}") {
        if let Err(refused) = text.parse::<Secret>() {
            let words = format!("{refused} {refused:?}");
            prop_assert!(!words.contains(&text));
        }
        if let Err(refused) = text.parse::<Key>() {
            let words = format!("{refused} {refused:?}");
            prop_assert!(!words.contains(&text));
        }
    }

    #[test]
    fn any_header_of_signatures_is_accepted_or_refused(
        signatures in "(v1a?,[a-zA-Z0-9+/=]{0,90} ?){0,4}|.{0,60}", timestamp_s: i64, now_s: i64
    ) {
        let (_, key, _) = V1A;
        let keys = [key.parse().unwrap(), Version::V1.secret([1; 32]).key()];
        let signed = Signed { id: ID, timestamp_s, signatures: &signatures, body: BODY };
        prop_assert!(verify(&keys, signed, now_s).is_err());
    }
}
