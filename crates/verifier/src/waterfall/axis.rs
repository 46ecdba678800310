//! The time axis: broken where nothing begins or ends for long.

use super::Break;

/// A shorter time is not left out.
const SHORTEST_BREAK_NS: u64 = 250_000_000;
/// A time that is left out is longer than all that is shown, so many times.
const LONGER_THAN_THE_REST: u64 = 4;

/// From the first beginning to the last end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    /// In the order of time, apart from each other.
    pub(super) breaks: Vec<Break>,
}

/// Where on a picture of some width each moment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pieces: Vec<Piece>,
}

/// A part of the axis: something happens, or it is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Since the axis's beginning.
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    /// The place.
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) is_break: bool,
}

impl Axis {
    /// The axis of spans with these beginnings and ends.
    pub(super) fn of(mut moments: Vec<u64>) -> Self {
        moments.sort_unstable();
        moments.dedup();
        let (from_ns, to_ns) = (moments.first().copied().unwrap_or(0), moments.last().copied().unwrap_or(0));
        let mut steps: Vec<Break> = moments
            .iter()
            .zip(moments.iter().skip(1))
            .map(|(before, after)| Break { after_ns: before - from_ns, duration_ns: after - before })
            .collect();
        steps.sort_by_key(|step| step.duration_ns);
        let mut rest_ns = 0_u64;
        let is_short = |step: &Break| {
            let is_short = step.duration_ns < SHORTEST_BREAK_NS || step.duration_ns / LONGER_THAN_THE_REST < rest_ns;
            rest_ns = rest_ns.saturating_add(if is_short { step.duration_ns } else { 0 });
            is_short
        };
        let shown = steps.iter().take_while(is_short_of(is_short)).count();
        let mut breaks = steps.split_off(shown);
        // An axis that is nothing but a break shows nothing.
        if steps.is_empty() {
            breaks.clear();
        }
        breaks.sort_by_key(|step| step.after_ns);
        Self { from_ns, to_ns, breaks }
    }

    /// The time that is shown, without the breaks.
    pub(super) fn shown_ns(&self) -> u64 {
        let left_out: u64 = self.breaks.iter().map(|one| one.duration_ns).sum();
        (self.to_ns - self.from_ns).saturating_sub(left_out)
    }

    /// Shares out a width: so much for each break, at least so much for each piece between them, and all by time.
    pub(super) fn layout(&self, width: usize, of_break: usize, of_piece: usize) -> Layout {
        let mut bounds = vec![0];
        for one in &self.breaks {
            bounds.extend([one.after_ns, one.after_ns + one.duration_ns]);
        }
        bounds.push(self.to_ns - self.from_ns);
        let spans: Vec<(u64, u64, bool)> = bounds
            .iter()
            .zip(bounds.iter().skip(1))
            .enumerate()
            .map(|(n, (from, to))| (*from, *to, n % 2 == 1))
            .filter(|(from, to, is_break)| *is_break || to > from || bounds.len() == 2)
            .collect();
        let width = width.saturating_sub(of_break * self.breaks.len());
        let wanted = |ns: u64| {
            let share = u128::from(ns) * u128::try_from(width).unwrap_or(0) / u128::from(self.shown_ns().max(1));
            usize::try_from(share).unwrap_or(width).max(of_piece)
        };
        let mut widths: Vec<usize> =
            spans.iter().map(|(from, to, is_break)| if *is_break { of_break } else { wanted(to - from) }).collect();
        // What rounding has left over, or what the least widths have taken too much, is the widest piece's.
        let used: usize = widths.iter().zip(&spans).filter(|(_, span)| !span.2).map(|(width, _)| width).sum();
        let widest = widths.iter_mut().zip(&spans).filter(|(_, span)| !span.2).map(|(width, _)| width).max();
        if let Some(widest) = widest {
            *widest = (*widest + width).saturating_sub(used).max(of_piece);
        }
        let mut at = 0;
        let pieces = spans.into_iter().zip(widths).map(|((from_ns, to_ns, is_break), width)| {
            let from = at;
            at += width;
            Piece { from_ns, to_ns, from, to: at, is_break }
        });
        Layout { pieces: pieces.collect() }
    }
}

/// `take_while` asks for a shared closure.
fn is_short_of(mut is_short: impl FnMut(&Break) -> bool) -> impl FnMut(&&Break) -> bool {
    move |step| is_short(step)
}

impl Layout {
    /// The place of a moment, so long after the axis's beginning. Moments beyond its ends are at its ends.
    pub(super) fn place(&self, ns: u64) -> f64 {
        let piece = self.pieces.iter().find(|piece| ns <= piece.to_ns).or(self.pieces.last());
        let Some(piece) = piece else { return 0.0 };
        #[expect(
            clippy::cast_precision_loss,
            reason = "a picture has fewer places, and a piece fewer nanoseconds to tell apart"
        )]
        let [from, to, at, length] = [
            piece.from as f64,
            piece.to as f64,
            ns.clamp(piece.from_ns, piece.to_ns).saturating_sub(piece.from_ns) as f64,
            (piece.to_ns - piece.from_ns).max(1) as f64,
        ];
        (from + (to - from) * at / length).min(to)
    }

    /// Where it is broken.
    pub(super) fn breaks(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().filter(|piece| piece.is_break)
    }

    /// How wide it is: as wide as was asked for, but for very many breaks.
    pub(super) fn width(&self) -> usize {
        self.pieces.last().map_or(0, |piece| piece.to)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn an_axis_is_broken_at_each_long_wait_and_nowhere_else() {
        let retry = 300_000 * MS;
        let moments = |ms: &[u64]| ms.iter().map(|ms| ms * MS).collect::<Vec<_>>();
        assert_eq!(Axis::of(moments(&[0, 1, 5, 12, 200])).breaks, []);
        let axis =
            Axis::of([moments(&[0, 5, 12]), moments(&[300_012, 300_016]), moments(&[600_016, 600_020])].concat());
        let expected = [12, 300_016].map(|ms| Break { after_ns: ms * MS, duration_ns: retry });
        assert_eq!((axis.breaks.as_slice(), axis.shown_ns()), (&expected[..], 20 * MS));
        // One span alone, however long, is shown.
        assert_eq!(Axis::of(moments(&[0, 300_000])).breaks, []);
    }

    proptest! {
        #[test]
        fn places_are_in_the_order_of_time_and_within_the_width(
            moments in prop::collection::vec(prop_oneof![0..20 * MS, 0..u64::from(u32::MAX) * MS], 1..12),
            width in 40..200_usize,
        ) {
            let axis = Axis::of(moments.clone());
            let layout = axis.layout(width, 1, 1);
            prop_assert!(layout.width() == width, "{:?}", layout);
            let mut sorted = moments;
            sorted.sort_unstable();
            let places: Vec<f64> = sorted.iter().map(|ns| layout.place(ns - axis.from_ns)).collect();
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let width = width as f64;
            prop_assert!(places.is_sorted() && places.iter().all(|at| (0.0..=width).contains(at)), "{:?}", places);
            let of_breaks: u64 = axis.breaks.iter().map(|one| one.duration_ns).sum();
            prop_assert_eq!(axis.shown_ns() + of_breaks, axis.to_ns - axis.from_ns);
        }
    }
}
