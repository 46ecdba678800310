//! Durations for people, and texts that can be shown.

/// With three digits, or in two units.
pub(super) fn duration(ns: u64) -> String {
    let (us, s) = (ns / 1_000, ns / 1_000_000_000);
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10),
        10_000..100_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        100_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..60_000_000 => format!("{s}.{:02} s", us % 1_000_000 / 10_000),
        // Rounded, so that a retry after five minutes is one.
        _ => match (us + 500_000) / 1_000_000 {
            s @ ..3_600 => format!("{} min {} s", s / 60, s % 60),
            s @ 3_600..86_400 => format!("{} h {} min", s / 3_600, s / 60 % 60),
            s => format!("{} d {} h", s / 86_400, s / 3_600 % 24),
        },
    }
}

/// What spans say may hold anything; nothing of it may move a terminal's cursor.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// So many characters at most, the last of which says that there are more.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_short_and_has_its_unit() {
        let second = 1_000_000_000;
        for (ns, words) in [
            (0, "0 µs"),
            (870_400, "870 µs"),
            (1_005_000, "1.00 ms"),
            (12_345_000, "12.3 ms"),
            (345_678_000, "345 ms"),
            (4_219_000_000, "4.21 s"),
            (60 * second - 1, "59.99 s"),
            (300 * second - 1_000_000, "5 min 0 s"),
            (7_384 * second, "2 h 3 min"),
            (273_600 * second, "3 d 4 h"),
        ] {
            assert_eq!(duration(ns), words);
        }
    }

    #[test]
    fn a_text_moves_no_cursor_and_has_its_length() {
        assert_eq!(shown("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!((cut("abcdef", 6), cut("abcdefg", 6)), ("abcdef".to_owned(), "abcde…".to_owned()));
    }
}
