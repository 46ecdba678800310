//! Reads PostgreSQL's text form of an array: `{1,NULL,"a \"b\""}`, nested, with bounds before it or not.

use std::borrow::Cow;

/// An element of an array.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Null,
    Text(Cow<'a, str>),
    Array(Vec<Item<'a>>),
}

/// PostgreSQL's own limit of dimensions; it bounds the recursion.
const MOST_DIMENSIONS: usize = 6;

/// `None` if the text is not an array.
pub(super) fn parse(text: &str) -> Option<Vec<Item<'_>>> {
    // Bounds that do not start at 1 come first, as in `[0:1]={1,2}`.
    let text = if text.starts_with('[') { text.split_once('=')?.1 } else { text };
    let (items, rest) = array(text.strip_prefix('{')?, MOST_DIMENSIONS)?;
    rest.is_empty().then_some(items)
}

/// Reads the elements behind an opening brace, up to and with the closing one.
fn array(text: &str, dimensions: usize) -> Option<(Vec<Item<'_>>, &str)> {
    let mut items = Vec::new();
    if let Some(rest) = text.strip_prefix('}') {
        return Some((items, rest));
    }
    let mut left = text;
    loop {
        let (item, rest) = item(left, dimensions)?;
        items.push(item);
        match rest.split_at_checked(1)? {
            (",", rest) => left = rest,
            ("}", rest) => return Some((items, rest)),
            _ => return None,
        }
    }
}

fn item(text: &str, dimensions: usize) -> Option<(Item<'_>, &str)> {
    if let Some(rest) = text.strip_prefix('{') {
        let (items, rest) = array(rest, dimensions.checked_sub(1)?)?;
        return Some((Item::Array(items), rest));
    }
    if let Some(rest) = text.strip_prefix('"') {
        let (value, rest) = quoted(rest)?;
        return Some((Item::Text(value), rest));
    }
    let (value, rest) = text.split_at_checked(text.find([',', '}'])?)?;
    match value {
        "" => None,
        "NULL" => Some((Item::Null, rest)),
        value => Some((Item::Text(value.into()), rest)),
    }
}

/// Reads up to the closing quote; a backslash takes the next character as it is.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text[end..].starts_with('"') {
        return Some((text[..end].into(), &text[end + 1..]));
    }
    let mut value = text[..end].to_owned();
    let mut chars = text[end..].char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value.into(), &text[end + at + 1..])),
            '\\' => value.push(chars.next()?.1),
            char => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Item<'_> {
        Item::Text(value.into())
    }

    #[test]
    fn quotes_keep_commas_braces_and_the_word_null() {
        let items = parse(r#"{a,"b,{c}","NULL",NULL,"q\"\\"}"#).unwrap();
        assert_eq!(items, [text("a"), text("b,{c}"), text("NULL"), Item::Null, text("q\"\\")]);
    }

    #[test]
    fn dimensions_nest() {
        let items = parse("{{1},{2}}").unwrap();
        assert_eq!(items, [Item::Array(vec![text("1")]), Item::Array(vec![text("2")])]);
    }

    #[test]
    fn what_is_not_an_array_is_none() {
        for wrong in ["", "1", "{", "{1", "{1,", "{1,}", "{,1}", "{1}x", r#"{"a}"#, r#"{"a\"#, "{1}}", "[0:1]{1}"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert_eq!(parse(&"{".repeat(100_000)), None);
        assert!(parse("{{{{{{1}}}}}}").is_some());
    }
}
