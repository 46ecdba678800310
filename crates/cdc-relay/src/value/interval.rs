//! Reads `intervalstyle = postgres`, the style that the stream is opened with: `1 year 2 mons -3 days 04:05:06.789`.

use serde::Serialize;

/// An interval the way that Sequin writes it: PostgreSQL's three parts, which do not convert into one another.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Interval {
    months: i64,
    days: i64,
    microseconds: i64,
}

/// `None` if the text is not an interval of that style.
pub(super) fn parse(text: &str) -> Option<Interval> {
    let mut interval = Interval { months: 0, days: 0, microseconds: 0 };
    let mut words = text.split(' ');
    let mut any = false;
    while let Some(word) = words.next() {
        if word.contains(':') {
            interval.microseconds = clock(word)?;
            any = true;
            continue;
        }
        let count: i64 = word.parse().ok()?;
        match words.next()? {
            "year" | "years" => interval.months = interval.months.checked_add(count.checked_mul(12)?)?,
            "mon" | "mons" => interval.months = interval.months.checked_add(count)?,
            "day" | "days" => interval.days = count,
            _ => return None,
        }
        any = true;
    }
    any.then_some(interval)
}

/// `[-]hours:minutes:seconds[.fraction]` in microseconds.
fn clock(word: &str) -> Option<i64> {
    let (sign, word) = match word.strip_prefix('-') {
        Some(word) => (-1, word),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    };
    let mut parts = word.splitn(3, ':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next()?.parse().ok()?;
    let seconds = parts.next()?;
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let seconds: i64 = seconds.parse().ok()?;
    let micros: i64 = if fraction.len() > 6 { return None } else { format!("{fraction:0<6}").parse().ok()? };
    let whole = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?;
    Some(sign * whole.checked_mul(1_000_000)?.checked_add(micros)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_its_own_sign() {
        let cases = [
            ("1 year 2 mons 3 days 04:05:06.789", (14, 3, 14_706_789_000)),
            ("-1 years -2 mons +3 days -04:05:06", (-14, 3, -14_706_000_000)),
            ("00:00:00", (0, 0, 0)),
            ("100:00:00.000001", (0, 0, 360_000_000_001)),
            ("1 day", (0, 1, 0)),
        ];
        for (text, (months, days, microseconds)) in cases {
            assert_eq!(parse(text), Some(Interval { months, days, microseconds }), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_interval_is_none() {
        for wrong in ["", "soon", "1", "1 week", "P1Y", "infinity", "1:2", "00:00:00.1234567", "9999999999999999:0:0"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
