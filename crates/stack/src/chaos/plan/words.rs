//! A plan as lines that people read and `--plan` reads again.

use std::fmt;
use std::str::FromStr;

use super::{Act, Fault, NotAPlan, Plan};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, rate, faults, .. } = self;
        writeln!(
            f,
            "# {} faults. Without \"beside\" a fault begins only when those before it are over.",
            faults.len()
        )?;
        writeln!(f, "plan seed {seed} lasts {} s rate {rate}", Seconds(self.duration_ms))?;
        faults.iter().try_for_each(|fault| writeln!(f, "{fault}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, length) = (Seconds(self.at_ms), Seconds(self.for_ms));
        write!(f, "at {at:>8} s  {:<7}  {:<32} for {length:>7} s", self.act.kind(), self.act.target())?;
        if let Act::Slow { latency_ms, bytes_per_second, .. } = self.act {
            write!(f, "  late {latency_ms} ms  most {bytes_per_second} bytes/s")?;
        }
        if self.beside { f.write_str("  beside") } else { Ok(()) }
    }
}

/// Milliseconds as seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000))
    }
}

pub(super) fn parse(text: &str) -> Result<Plan, NotAPlan> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let (_, head) = lines.next().ok_or(NotAPlan::NoHead)?;
    let mut plan = parse_head(head).ok_or(NotAPlan::NoHead)?;
    for (number, line) in lines {
        plan.faults.push(line.parse().map_err(|problem| NotAPlan::Line { number, problem })?);
    }
    Ok(plan)
}

fn parse_head(line: &str) -> Option<Plan> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["plan", "seed", seed, "lasts", seconds, "s", "rate", rate] = words.as_slice() else { return None };
    let rate: f64 = rate.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0)?;
    Some(Plan { seed: seed.parse().ok()?, duration_ms: millis(seconds).ok()?, rate, faults: Vec::new() })
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["at", at, "s", kind, target, "for", length, "s", rest @ ..] = words.as_slice() else {
            return Err("write at SECONDS s KIND TARGET for SECONDS s".to_owned());
        };
        let (rest, beside) = match rest {
            [rest @ .., "beside"] => (rest, true),
            rest => (rest, false),
        };
        Ok(Self { at_ms: millis(at)?, for_ms: millis(length)?, act: act(kind, target, rest)?, beside })
    }
}

fn act(kind: &str, target: &str, rest: &[&str]) -> Result<Act, String> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("{text} is no number"));
    let act = match (kind, rest) {
        ("slow", ["late", latency, "ms", "most", bytes, "bytes/s"]) => {
            let link = parsed(target)?;
            return Ok(Act::Slow { link, latency_ms: number(latency)?, bytes_per_second: number(bytes)? });
        }
        ("slow", _) => return Err("write slow LINK for SECONDS s late N ms most N bytes/s".to_owned()),
        ("kill", _) => Act::Kill { process: parsed(target)? },
        ("restart", _) => Act::Restart { process: parsed(target)? },
        ("freeze", _) => Act::Freeze { process: parsed(target)? },
        ("point", _) => Act::Point { point: parsed(target)? },
        ("cut", _) => Act::Cut { link: parsed(target)? },
        ("refuse", _) => Act::Refuse { link: parsed(target)? },
        ("stall", _) => Act::Stall { link: parsed(target)? },
        _ => return Err(format!("{kind} is none of {}", Act::KINDS.join(", "))),
    };
    if rest.is_empty() { Ok(act) } else { Err(format!("nobody knows what {:?} means here", rest.join(" "))) }
}

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// Seconds with at most three digits behind the point.
fn millis(seconds: &str) -> Result<u64, String> {
    let wrong = || format!("{seconds} is no number of seconds, to the millisecond");
    let (whole, part) = seconds.split_once('.').unwrap_or((seconds, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 3 {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let part: u64 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
    whole.checked_mul(1_000).and_then(|ms| ms.checked_add(part)).ok_or_else(wrong)
}
