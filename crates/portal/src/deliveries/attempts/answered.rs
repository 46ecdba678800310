//! What a receiver answered, as it is shown: without what may be its secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::endpoints::headers::{MASK, is_sensitive};

/// They say which credentials are wanted and hold none, and whoever is answered 401 needs them.
const CHALLENGES: [&str; 2] = ["www-authenticate", "proxy-authenticate"];

/// A header of the answer.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ResponseHeader)]
pub(super) struct Header {
    /// In lower case.
    name: String,
    value: String,
}

/// The headers of the lines that the ledger keeps; the last may be cut anywhere.
pub(super) fn headers(lines: &str) -> Vec<Header> {
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        let is_hidden = is_sensitive(name) && !CHALLENGES.contains(&name);
        Header { name: name.to_owned(), value: if is_hidden { MASK } else { value }.to_owned() }
    };
    lines.lines().map(header).collect()
}

/// The body as text, or otherwise as base64.
pub(super) fn body(body: Option<Vec<u8>>) -> (Option<String>, Option<String>) {
    match body.map(text) {
        None => (None, None),
        Some(Ok(text)) => (Some(text), None),
        Some(Err(bytes)) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// What is kept may end within a character.
fn text(mut bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    if let Err(error) = str::from_utf8(&bytes)
        && error.error_len().is_none()
        && error.valid_up_to() > 0
    {
        bytes.truncate(error.valid_up_to());
    }
    String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_of_the_receiver_is_not_shown() {
        let shown = |lines: &str| headers(lines).into_iter().map(|h| (h.name, h.value)).collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let lines = "content-type: text/html: odd\nset-cookie: session=hush; path=/\nx-auth-token: hush\nx-empty: \n\
             authorization: Bearer hush\nwebhook-signature: v1,hush\nwww-authenticate: Bearer realm=\"orders\"\n";
        let expected = [
            pair("content-type", "text/html: odd"),
            pair("set-cookie", "***"),
            pair("x-auth-token", "***"),
            pair("x-empty", ""),
            pair("authorization", "***"),
            pair("webhook-signature", "***"),
            pair("www-authenticate", "Bearer realm=\"orders\""),
        ];
        assert_eq!(shown(lines), expected);
        assert_eq!(shown("server: x\nset-cookie: ses"), [pair("server", "x"), pair("set-cookie", "***")]);
        assert_eq!(shown("server: x\nset-coo"), [pair("server", "x"), pair("set-coo", "")]);
        assert_eq!(shown(""), []);
    }

    #[test]
    fn a_body_is_text_where_it_is_utf_8_and_base64_otherwise() {
        let text = |text: &str| (Some(text.to_owned()), None);
        assert_eq!(body(None), (None, None));
        assert_eq!(body(Some(b"{\"ok\":true}\0".to_vec())), text("{\"ok\":true}\0"));
        assert_eq!(body(Some("caf\u{e9}".as_bytes()[..4].to_vec())), text("caf"));
        assert_eq!(body(Some(b"a\xffb".to_vec())), (None, Some("Yf9i".to_owned())));
        assert_eq!(body(Some(b"\xc3".to_vec())), (None, Some("ww==".to_owned())));
    }
}
