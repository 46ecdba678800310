//! What must not be found, in each form in which somebody could print it; and a canary, which must.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use stack::secrets::Secrets;

/// The known.
pub struct Known {
    /// Each form, and what it is of.
    forms: BTreeMap<String, String>,
    /// No secret: a header's value that may be shown.
    pub canary: String,
    pub operator_token: String,
    /// Of the operator and of the services.
    pub service_tokens: Vec<String>,
}

impl Known {
    /// Everything in the folder of the stack's secrets.
    pub fn of(secrets: &Secrets, folder: &Path) -> Self {
        let canary = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 18]>());
        let operator_token = secrets.text("operator-token").unwrap();
        let mut known =
            Self { forms: BTreeMap::new(), canary: canary.clone(), operator_token, service_tokens: Vec::new() };
        // Our services log so much, and every process says where it listens.
        for word in [canary.as_str(), "DEBUG", "INFO", "127.0.0.1"] {
            known.canary(word);
        }
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let content = std::fs::read_to_string(entry.path()).unwrap();
            let content = content.trim();
            if name.ends_with("-token") {
                known.service_tokens.push(content.to_owned());
            }
            match name.rsplit(['-', '.']).next() {
                Some("token" | "password") => known.text(&name, content),
                Some("key") => known.bytes(&name, &STANDARD.decode(content).unwrap()),
                Some("pem") => {
                    let body: String = content.lines().filter(|line| !line.starts_with("---")).collect();
                    // PKCS #8 says in 16 bytes what the 32 after them are.
                    known.bytes(&name, &STANDARD.decode(body).unwrap()[16..48]);
                }
                _ => panic!("{name} is a secret of which kind?"),
            }
        }
        assert!(known.service_tokens.len() >= 3, "{:?}", known.service_tokens.len());
        known
    }

    pub fn forms(&self) -> impl Iterator<Item = (&str, &str)> {
        self.forms.iter().map(|(form, what)| (form.as_str(), what.as_str()))
    }

    pub fn canary(&mut self, text: &str) {
        self.forms.insert(text.to_owned(), "canary".to_owned());
    }

    pub fn text(&mut self, what: &str, text: &str) {
        self.forms.insert(text.to_owned(), what.to_owned());
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.forms.insert(hex, what.to_owned());
        self.forms.insert(STANDARD_NO_PAD.encode(text.trim_end_matches('=')), what.to_owned());
    }

    /// The last digit of base64 depends on what follows.
    pub fn bytes(&mut self, what: &str, bytes: &[u8]) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let short = |mut text: String| {
            text.pop();
            text
        };
        let list = format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
        let base64 = [STANDARD_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)].map(short);
        for form in [hex.to_uppercase(), hex, list].into_iter().chain(base64) {
            self.forms.insert(form, what.to_owned());
        }
    }

    /// `whsec_…`, or `whsk_…` of a key pair, the second half of which is public.
    pub fn signing_secret(&mut self, text: &str) {
        let (prefix, digits) = text.split_once('_').unwrap();
        let bytes = STANDARD.decode(digits).unwrap();
        self.forms.insert(text.to_owned(), "signing secret".to_owned());
        self.bytes("signing secret", if prefix == "whsk" { &bytes[..32] } else { &bytes });
    }

    /// A secret word of this kind.
    pub fn made_up(&mut self, what: &str) -> String {
        let word = format!("hush-{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 18]>()));
        self.text(what, &word);
        word
    }

    pub fn made_up_v1(&mut self) -> String {
        let secret = format!("whsec_{}", STANDARD.encode(rand::random::<[u8; 32]>()));
        self.signing_secret(&secret);
        secret
    }

    pub fn made_up_v1a(&mut self) -> String {
        let key = ed25519_dalek::SigningKey::from_bytes(&rand::random());
        let secret = format!("whsk_{}", STANDARD.encode(key.to_keypair_bytes()));
        self.signing_secret(&secret);
        secret
    }
}
