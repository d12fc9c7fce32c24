//! Charts as SVG, drawn here, so that they need no script. Numbers stand beside them as text, which does not stretch with the drawing.

use std::fmt::Write as _;

use maud::html;

use crate::parts::Html;

/// The drawing's own units; it is stretched to the room that there is.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 100.0;

/// Values over time, oldest first; none where nothing is known.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// What they are.
    pub name: &'static str,
    /// How they are drawn.
    pub class: &'static str,
    /// The values.
    pub values: Vec<Option<f64>>,
}

impl Series {
    fn most(&self) -> f64 {
        self.values.iter().flatten().copied().fold(0.0, f64::max)
    }
}

/// A chart, with the words that are around it.
pub struct Chart<'a> {
    pub title: &'a str,
    /// What the highest value is called.
    pub most: &'a dyn Fn(f64) -> String,
    /// The time of its beginning and of its end, in words.
    pub span: (&'a str, &'a str),
    pub series: &'a [Series],
}

/// Draws values as bars on top of each other.
pub fn bars(chart: &Chart<'_>) -> Html {
    let parts = chart
        .series
        .iter()
        .map(|series| series.values.len())
        .max()
        .unwrap_or(0);
    let at = |series: &Series, part: usize| series.values.get(part).copied().flatten().unwrap_or(0.0);
    let sums = (0..parts).map(|part| chart.series.iter().map(|series| at(series, part)).sum());
    let most = sums.fold(0.0, f64::max);
    let step = WIDTH / parts.max(1) as f64;
    let mut below = vec![0.0; parts];
    let shapes: Vec<(&str, String)> = chart
        .series
        .iter()
        .map(|series| {
            let mut path = String::new();
            for (part, below) in below.iter_mut().enumerate() {
                let value = at(series, part);
                if value <= 0.0 || most <= 0.0 {
                    continue;
                }
                // Anything at all is seen.
                let height = (value / most * HEIGHT).max(1.0);
                let (x, y) = (part as f64 * step, HEIGHT - *below - height);
                // A string takes everything.
                let _ = write!(
                    path,
                    "M{x:.1} {y:.1}h{:.1}v{height:.1}h-{:.1}z",
                    step * 0.85,
                    step * 0.85
                );
                *below += height;
            }
            (series.class, path)
        })
        .collect();
    drawn(chart, most, &shapes, false)
}

/// Draws values as lines.
pub fn lines(chart: &Chart<'_>) -> Html {
    let most = chart.series.iter().map(Series::most).fold(0.0, f64::max);
    let shapes: Vec<(&str, String)> = chart
        .series
        .iter()
        .map(|series| {
            let step = WIDTH / series.values.len().max(1) as f64;
            let mut path = String::new();
            let mut is_down = false;
            for (part, value) in series.values.iter().enumerate() {
                let Some(value) = value.filter(|_| most > 0.0) else {
                    is_down = false;
                    continue;
                };
                let (x, y) = (part as f64 * step, HEIGHT - value / most * (HEIGHT - 4.0) - 2.0);
                // A step as wide as its part, so that a single value is seen.
                let pen = if is_down { "L" } else { "M" };
                let _ = write!(path, "{pen}{x:.1} {y:.1}h{step:.1}");
                is_down = true;
            }
            (series.class, path)
        })
        .collect();
    drawn(chart, most, &shapes, true)
}

fn drawn(chart: &Chart<'_>, most: f64, shapes: &[(&str, String)], is_line: bool) -> Html {
    let is_empty = most <= 0.0;
    let label = match is_empty {
        true => format!("{}: nothing", chart.title),
        false => format!("{}: at most {}", chart.title, (chart.most)(most)),
    };
    html! {
        figure.chart {
            figcaption {
                b { (chart.title) }
                @for series in chart.series {
                    span class={ "key " (series.class) } { (series.name) }
                }
            }
            div.plot {
                span.most aria-hidden="true" { @if is_empty { "nothing" } @else { ((chart.most)(most)) } }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
                    @for (class, path) in shapes {
                        path class={ @if is_line { "line " } @else { "bar " } (class) } d=(path) {}
                    }
                }
            }
            div.span aria-hidden="true" { span { (chart.span.0) } span { (chart.span.1) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[Option<f64>]) -> Series {
        Series {
            name: "jobs",
            class: "good",
            values: values.to_vec(),
        }
    }

    fn chart<'a>(series: &'a [Series], most: &'a dyn Fn(f64) -> String) -> Chart<'a> {
        Chart {
            title: "Ended",
            most,
            span: ("1 h ago", "now"),
            series,
        }
    }

    #[test]
    fn bars_stand_on_top_of_each_other_and_lines_have_gaps() {
        let most = |most: f64| format!("{most} a minute");
        let two = [series(&[Some(3.0), Some(0.0)]), series(&[Some(1.0), None])];
        let html = bars(&chart(&two, &most)).into_string();
        assert!(html.contains("M0.0 25.0h255.0v75.0h-255.0z"), "{html}");
        assert!(html.contains("M0.0 0.0h255.0v25.0h-255.0z"), "{html}");
        assert!(
            html.contains("aria-label=\"Ended: at most 4 a minute\""),
            "{html}"
        );
        let gap = [series(&[Some(1.0), None, Some(2.0)])];
        let html = lines(&chart(&gap, &most)).into_string();
        assert!(html.contains("d=\"M0.0 50.0h200.0M400.0 2.0h200.0\""), "{html}");
        let none = [series(&[])];
        assert!(
            bars(&chart(&none, &most))
                .into_string()
                .contains("Ended: nothing")
        );
    }
}
