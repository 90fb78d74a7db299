//! The comparison as an SVG that reads on light and dark pages.

use std::fmt::Write as _;

use crate::{BAD_PPM, Compared, DEVICES};

const WIDTH: u32 = 860;
const ROW: u32 = 20;

/// Where names end and bars begin, and where these end.
const LEFT: u32 = 290;
const RIGHT: u32 = 770;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif}.page{fill:#ffffff}.ink{fill:#1f2328}.dim{fill:#59636e}\
.line{stroke:#d1d9e0}.ours{fill:#0969da;stroke:#0969da}.others{fill:#818b98;stroke:#818b98}\
.limit{stroke:#cf222e}.head{font-weight:600}\
@media(prefers-color-scheme:dark){.page{fill:#0d1117}.ink{fill:#f0f6fc}.dim{fill:#9198a1}\
.line{stroke:#3d444d}.ours{fill:#4493f8;stroke:#4493f8}.others{fill:#9198a1;stroke:#9198a1}\
.limit{stroke:#f85149}}";

pub(crate) fn draw(compared: &[Compared]) -> String {
    let mut picture = Picture { body: String::new(), top: 30 };
    picture.false_stops(compared);
    picture.harm(compared);
    let Picture { body, top } = picture;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" role=\"img\">\n\
         <title>False stops and devices harmed, by rule</title>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{top}\" rx=\"8\"/>\n{body}</svg>\n"
    )
}

struct Picture {
    body: String,
    /// Where the next row is.
    top: u32,
}

impl Picture {
    fn text(&mut self, x: f64, class: &str, anchor: &str, text: &str) {
        let y = self.top;
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.0}\" y=\"{y}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    fn heading(&mut self, text: &str) {
        self.text(20.0, "ink head", "start", text);
        self.top += ROW + 4;
    }

    fn upright(&mut self, x: f64, rows: u32, class: &str) {
        let (from, to) = (self.top - 14, self.top - 14 + rows * ROW);
        let _ = writeln!(
            self.body,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{from}\" y2=\"{to}\" class=\"{class}\"/>"
        );
    }

    fn false_stops(&mut self, compared: &[Compared]) {
        self.heading("Healthy rollouts stopped by chance (2 % fail), in 100");
        let most = compared.iter().map(|rule| rule.false_percent).fold(1.0, f64::max);
        let scale = f64::from(RIGHT - LEFT) / most;
        self.upright(f64::from(LEFT) + scale, compared.len() as u32, "limit");
        for rule in compared {
            let class = class(rule);
            self.text(f64::from(LEFT) - 10.0, "ink", "end", rule.name);
            let width = (rule.false_percent * scale).max(1.0);
            let y = self.top - 11;
            let _ = writeln!(
                self.body,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"13\" class=\"{class}\"/>"
            );
            let shown = format!("{:.2}", rule.false_percent);
            let beside = f64::from(LEFT) + width.max(scale) + 8.0;
            self.text(beside, "dim", "start", &shown);
            self.top += ROW;
        }
        self.text(f64::from(LEFT), "dim", "start", "The red line is alpha: 1 in 100.");
        self.top += 2 * ROW;
    }

    fn harm(&mut self, compared: &[Compared]) {
        self.heading("Devices harmed before the stop: dot: median, line: to 95 in 100 rollouts");
        for (at, ppm) in BAD_PPM.iter().enumerate() {
            let rows = compared.len() as u32;
            for mark in [1, 10, 100, 1_000] {
                self.upright(place(mark), rows, "line");
            }
            for rule in compared {
                self.harm_row(rule, at, ppm / 10_000);
            }
            self.top += 8;
        }
        for mark in [1, 10, 100, 1_000] {
            let shown = if mark == 1_000 { "1,000" } else { &mark.to_string() };
            self.text(place(mark), "dim", "middle", shown);
        }
        self.top += ROW;
    }

    fn harm_row(&mut self, rule: &Compared, at: usize, percent: u32) {
        let harm = rule.harm[at];
        if rule.is_ours {
            let heading = if percent == 100 { "all fail" } else { &format!("{percent} % fail") };
            self.text(20.0, "ink head", "start", heading);
        }
        let name = if rule.is_ours { "regression test" } else { rule.name };
        self.text(f64::from(LEFT) - 10.0, "ink", "end", name);
        let (from, to, y) = (place(harm.median), place(harm.most), self.top - 4);
        let class = class(rule);
        let _ = writeln!(
            self.body,
            "<line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y}\" y2=\"{y}\" stroke-width=\"2\" class=\"{class}\"/>\n\
             <circle cx=\"{from:.1}\" cy=\"{y}\" r=\"5\" class=\"{class}\"/>"
        );
        let shown = match harm.never_percent {
            never if never < 0.05 => harm.median.to_string(),
            never => format!("{}; {never:.1} % never", harm.median),
        };
        self.text(to + 10.0, "dim", "start", &shown);
        self.top += ROW;
    }
}

fn class(rule: &Compared) -> &'static str {
    if rule.is_ours { "ours" } else { "others" }
}

/// On an axis by powers of ten, up to all devices.
fn place(devices: u32) -> f64 {
    let share = f64::from(devices.max(1)).log10() / f64::from(DEVICES).log10();
    f64::from(LEFT) + share * f64::from(RIGHT - LEFT)
}
