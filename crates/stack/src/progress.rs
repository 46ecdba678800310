//! Says on stderr what takes long: a spinner with the time so far, or plain lines where stderr is no terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Where progress is shown. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress {
    bars: Option<MultiProgress>,
    silent: bool,
}

/// One thing under way. Dropped without an end, it leaves no line.
#[derive(Debug)]
pub struct Step {
    what: String,
    since: Instant,
    bar: Option<ProgressBar>,
    progress: Progress,
}

impl Progress {
    /// Spinners on a terminal, plain lines elsewhere.
    #[must_use]
    pub fn on_stderr() -> Self {
        Self { bars: std::io::stderr().is_terminal().then(MultiProgress::new), silent: false }
    }

    /// Shows nothing, for tests.
    #[must_use]
    pub fn silent() -> Self {
        Self { bars: None, silent: true }
    }

    /// One line.
    pub fn say(&self, line: &str) {
        match &self.bars {
            // A terminal that can't be written to is no reason to stop.
            Some(bars) => drop(bars.println(line)),
            None if self.silent => {}
            None => eprintln!("{line}"),
        }
    }

    /// Whether stderr is a terminal, so that somebody may be watching.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.bars.is_some()
    }

    /// A bar for what is counted; it shows nothing where stderr is no terminal.
    #[must_use]
    pub fn bar(&self, what: &'static str) -> ProgressBar {
        let Some(bars) = &self.bars else { return ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{msg:<12} {wide_bar} {pos}/{len} {per_sec}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        bars.add(ProgressBar::new(0).with_style(style).with_message(what))
    }

    /// Begins something: `what` is under way, by `how`.
    #[must_use]
    pub fn begin(&self, what: &str, how: &str) -> Step {
        let bar = self.bars.as_ref().map(|bars| {
            let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
            let bar = ProgressBar::new_spinner().with_message(format!("{what}: {how}"));
            let bar = bars.add(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            self.say(&format!("{what}: {how}"));
        }
        Step { what: what.to_owned(), since: Instant::now(), bar, progress: self.clone() }
    }
}

impl Step {
    /// Says how it goes on.
    pub fn now(&self, how: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(format!("{}: {how}", self.what)),
            None => self.progress.say(&format!("{}: {how}", self.what)),
        }
    }

    /// Ends it, and says how long it took.
    pub fn done(self, outcome: &str) {
        let line = format!("{}: {outcome} after {:.1} s", self.what, self.since.elapsed().as_secs_f64());
        self.clear();
        self.progress.say(&line);
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.clear();
    }
}
