//! Labels of bars: as many as fit without an overlap.

use serde::Serialize;

/// Width of a character of a label, px.
const CHARACTER: f64 = 6.2;
/// Space between a bar and its label, px.
const GAP: f64 = 6.0;
/// Screens: name in the style sheet, least length of the axis on them, px.
const SCREENS: [(&str, f64); 2] = [("wide", 620.0), ("narrow", 330.0)];

/// A bar to be labelled; positions are in percent of the axis.
pub(super) struct Span {
    pub(super) from: f64,
    pub(super) to: f64,
    /// The label, and a shorter one where that does not fit.
    pub(super) texts: [String; 2],
}

/// A label that fits on one kind of screen.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Label {
    screen: &'static str,
    x: f64,
    dx: f64,
    anchor: &'static str,
    text: String,
}

/// Places the labels of one row, those of the longest bars first.
///
/// A label is placed to the right of its bar, else to its left, else in its short form, else it is left out.
pub(super) fn place(spans: &[Span]) -> Vec<Label> {
    let mut longest_first: Vec<&Span> = spans.iter().collect();
    longest_first.sort_by(|a, b| b.length().total_cmp(&a.length()));
    let mut placed = Vec::new();
    for (screen, axis) in SCREENS {
        let gap = GAP / axis * 100.0;
        let mut taken: Vec<(f64, f64)> = spans.iter().map(|span| (span.from, span.to)).collect();
        for span in &longest_first {
            let fits = |&(from, to): &(f64, f64)| {
                from >= 0.0 && to <= 100.0 && taken.iter().all(|&(a, b)| to <= a || from >= b)
            };
            let place = span.texts.iter().find_map(|text| {
                let width = text.chars().count() as f64 * CHARACTER / axis * 100.0;
                let right = (span.to + gap / 2.0, span.to + gap + width);
                let left = (span.from - gap - width, span.from - gap / 2.0);
                let (x, dx, anchor, place) = if fits(&right) {
                    (span.to, GAP, "start", right)
                } else {
                    (span.from, -GAP, "end", Some(left).filter(fits)?)
                };
                Some((place, Label { screen, x, dx, anchor, text: text.clone() }))
            });
            if let Some((place, label)) = place {
                taken.push(place);
                placed.push(label);
            }
        }
    }
    placed
}

impl Span {
    fn length(&self) -> f64 {
        self.to - self.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn spans(bars: &[(f64, f64)]) -> Vec<Span> {
        bars.iter()
            .map(|&(from, to)| Span { from, to, texts: ["lost 20–40 ms".into(), "20–40 ms".into()] })
            .collect()
    }

    fn on(screen: &str, bars: &[(f64, f64)]) -> Vec<(f64, &'static str)> {
        let mut labels: Vec<_> = place(&spans(bars))
            .into_iter()
            .filter(|label| label.screen == screen)
            .map(|label| (label.x, label.anchor))
            .collect();
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        labels
    }

    #[rstest]
    #[case::right(&[(30.0, 31.0)], &[(31.0, "start")])]
    #[case::left_at_the_end(&[(98.0, 99.0)], &[(98.0, "end")])]
    #[case::away_from_a_neighbour(&[(30.0, 31.0), (32.0, 32.5)], &[(30.0, "end"), (32.5, "start")])]
    #[case::the_longer_wins(&[(2.0, 2.5), (8.0, 20.0), (36.0, 36.5)], &[(20.0, "start"), (36.5, "start")])]
    fn a_label_stands_where_there_is_room(#[case] bars: &[(f64, f64)], #[case] expected: &[(f64, &str)]) {
        assert_eq!(on("wide", bars), expected);
    }

    #[test]
    fn a_short_text_stands_where_the_long_one_is_too_long() {
        let texts: Vec<String> = place(&spans(&[(50.0, 50.5), (62.0, 62.5), (90.0, 90.5)]))
            .into_iter()
            .filter(|label| label.screen == "wide" && label.x < 80.0)
            .map(|label| label.text)
            .collect();
        assert_eq!(texts, ["lost 20–40 ms", "lost 20–40 ms"]);
        assert_eq!(place(&spans(&[(11.0, 11.5), (22.0, 22.5)]))[0].text, "20–40 ms");
    }

    #[test]
    fn a_narrow_screen_has_fewer_labels() {
        let bars = [0.0, 35.0, 50.0, 65.0, 80.0].map(|at| (at, at + 0.3));
        assert_eq!(on("wide", &bars).len(), 5);
        assert_eq!(on("narrow", &bars).len(), 2);
    }
}
