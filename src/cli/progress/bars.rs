//! Progress on a terminal: what runs now, image by image, drawn anew a few times a second.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use console::{Style, Term, measure_text_width, truncate_str};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::log::{self, Lines};
use super::{State, Task, bytes, seconds};

/// What is over before is not drawn.
const PATIENCE: Duration = Duration::from_millis(400);

/// Tasks that run for less flicker.
const FLICKER: Duration = Duration::from_millis(100);

/// How wide a bar is.
const BAR: usize = 12;

/// Columns and lines.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) lines: usize,
}

/// The size of the terminal.
pub(super) fn size() -> Size {
    let (lines, columns) = Term::stderr().size_checked().unwrap_or((24, 80));
    Size { columns: usize::from(columns).max(20), lines: usize::from(lines).max(4) }
}

/// How many columns the terminal has.
pub(super) fn width() -> usize {
    size().columns
}

/// The lower end of the terminal, and what is written above it.
#[derive(Default)]
pub(super) struct Screen(Option<(MultiProgress, ProgressBar)>);

impl Screen {
    /// Shows these lines in place of those that were shown.
    pub(super) fn draw(&mut self, frame: Vec<String>) {
        if frame.is_empty() {
            return self.clear();
        }
        if self.0.is_none() {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(20));
            let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = all.add(ProgressBar::new_spinner());
            bar.set_style(style);
            self.0 = Some((all, bar));
        }
        if let Some((_, bar)) = &self.0 {
            bar.set_message(frame.join("\n"));
            bar.tick();
        }
    }

    /// Shows nothing more.
    pub(super) fn clear(&mut self) {
        if let Some((_, bar)) = self.0.take() {
            bar.finish_and_clear();
        }
    }

    /// Writes lines above.
    pub(super) fn say(&mut self, lines: &Lines) {
        // A closed terminal is no reason to stop.
        match &self.0 {
            Some((all, _)) if log::is_terminal() => drop(all.println(lines.as_str())),
            _ => log::write(lines),
        }
    }
}

/// What is shown at a moment: each image that is being built or pushed with its tasks below it, then what is done for several,
/// then how far all is.
pub(super) fn frame(state: &State, now: Instant, size: Size, color: bool) -> Vec<String> {
    let since = now.duration_since(state.began);
    if since < PATIENCE {
        return Vec::new();
    }
    let mut of: BTreeMap<Option<&str>, Vec<&Task>> = BTreeMap::new();
    for (name, _) in state.images.iter().filter(|(_, image)| image.running > 0) {
        of.entry(Some(name)).or_default();
    }
    for task in state.tasks.values().filter(|task| now.duration_since(task.began) >= FLICKER) {
        of.entry(task.image.as_deref()).or_default().push(task);
    }
    if of.is_empty() {
        return Vec::new();
    }
    let (bold, dim) = (Style::new().bold().force_styling(color), Style::new().dim().force_styling(color));
    // What several share comes last, and has nothing above it.
    let shared = of.remove(&None).unwrap_or_default();
    let mut lines = Vec::new();
    for (name, tasks) in &of {
        let name = truncate_str(name.unwrap_or_default(), size.columns.saturating_sub(10), "…");
        let image = state.images.get(name.as_ref()).filter(|image| image.running > 0);
        let time = image.map(|image| seconds(now.duration_since(image.began))).unwrap_or_default();
        lines.push(format!("{} {}", bold.apply_to(name), dim.apply_to(time)).trim_end().to_owned());
        lines.extend(tasks.iter().map(|task| line(task, now, size.columns, "  ")));
    }
    lines.extend(shared.iter().map(|task| line(task, now, size.columns, "")));
    let most = size.lines.saturating_sub(3).max(1);
    if lines.len() > most {
        let more = lines.len() - most;
        lines.truncate(most);
        lines.push(dim.apply_to(format!("… and {more} more")).to_string());
    }
    let done = state.images.values().filter(|image| image.running == 0).count();
    let running = state.images.len() - done;
    let counts = [(running, "under way"), (done, "done")].into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
    let images = if counts.is_empty() { String::new() } else { format!(": images {}", counts.join(", ")) };
    let last = format!("{}{images}", seconds(since));
    lines.push(dim.apply_to(truncate_str(&last, size.columns, "…")).to_string());
    lines
}

/// A task: what it does, how far it is, how fast, and how long yet, as far as there is room.
fn line(task: &Task, now: Instant, columns: usize, indent: &str) -> String {
    let rate = task.rate(now);
    let speed = if task.done > 0 && rate > 0 { format!("{}/s", bytes(rate)) } else { String::new() };
    let amount = match (task.done, task.total) {
        (0, None) => String::new(),
        (done, Some(total)) => share(done, total),
        (done, None) => bytes(done),
    };
    let left = match task.total {
        Some(_) => task.left(now).map(seconds_left).unwrap_or_default(),
        // Of what counts nothing, it is told how long it runs.
        None if task.done == 0 => seconds(now.duration_since(task.began)),
        None => String::new(),
    };
    let mut right = match columns {
        0..50 => format!("{left:>6}"),
        50..70 => format!("{:>9} {left:>6}", percent(task)),
        70..90 => format!("{amount:>17} {left:>6}"),
        _ => format!("{amount:>17} {speed:>13} {left:>6}"),
    };
    if columns >= 70 {
        right = format!("{} {right}", bar(task));
    } else if columns >= 50 && task.total.is_none() {
        right = format!("{amount:>9} {left:>6}");
    }
    let start = format!("{indent}{:<8} ", task.phase.word());
    let room = columns.saturating_sub(measure_text_width(&start) + measure_text_width(&right) + 2);
    let subject = truncate_str(&task.subject, room, "…");
    let gap = " ".repeat(room.saturating_sub(measure_text_width(&subject)) + 1);
    format!("{start}{subject}{gap}{right}")
}

fn seconds_left(left: Duration) -> String {
    match left.as_secs() {
        count @ 0..100 => format!("{count}s"),
        _ => seconds(left),
    }
}

/// `1.5/20.0 MiB`
fn share(done: u64, total: u64) -> String {
    let (unit, word) = match total {
        0..0x400 => return format!("{done}/{total} B"),
        0x400..0x10_0000 => (1u64 << 10, "KiB"),
        0x10_0000..0x4000_0000 => (1 << 20, "MiB"),
        _ => (1 << 30, "GiB"),
    };
    let of = |bytes: u64| bytes as f64 / unit as f64;
    format!("{:.1}/{:.1} {word}", of(done), of(total))
}

fn percent(task: &Task) -> String {
    match task.total {
        Some(total) if total > 0 => format!("{}%", task.done.min(total) as u128 * 100 / u128::from(total)),
        _ => String::new(),
    }
}

fn bar(task: &Task) -> String {
    let Some(total) = task.total.filter(|total| *total > 0) else { return " ".repeat(BAR + 2) };
    let full = (task.done.min(total) as u128 * BAR as u128 / u128::from(total)) as usize;
    let head = if full < BAR { ">" } else { "" };
    format!("[{:<BAR$}]", format!("{}{head}", "=".repeat(full)))
}

#[cfg(test)]
mod tests {
    use lapstrake::report::{Event, Phase, Report, Reporter, TaskId};

    use super::super::{Image, Task};
    use super::*;

    /// Ids are given by the library alone.
    fn ids(count: usize) -> Vec<TaskId> {
        #[derive(Clone, Default)]
        struct Ids(std::sync::Arc<std::sync::Mutex<Vec<TaskId>>>);
        impl Report for Ids {
            fn event(&self, event: Event<'_>) {
                if let Event::Started { id, .. } = event {
                    self.0.lock().unwrap().push(id);
                }
            }
        }
        let ids = Ids::default();
        let reporter = Reporter::new(ids.clone());
        (0..count).for_each(|_| drop(reporter.task(Phase::Push, "", None)));
        std::mem::take(&mut *ids.0.lock().unwrap())
    }

    fn state(began: Instant) -> State {
        let task = |image: Option<&str>, phase, subject: &str, total, done| Task {
            image: image.map(str::to_owned),
            phase,
            subject: subject.to_owned(),
            total,
            done,
            began,
            spoke: began,
        };
        let tasks = [
            task(Some("web:k8s"), Phase::Compress, "code", Some(100 << 20), 25 << 20),
            task(None, Phase::Download, "registry.example.com/a/rather/long/name/of/an/image@sha256", None, 3 << 20),
            task(Some("app"), Phase::Resolve, "Python packages for linux/amd64", None, 0),
            task(Some("app"), Phase::Compress, "ünïcode – ähnlich breit 漢字", Some(0), 0),
        ];
        let images = [("web:k8s", 1), ("app", 2), ("base", 0)];
        let image = |running| Image { began, ended: began, running };
        State {
            began,
            tasks: ids(tasks.len()).into_iter().zip(tasks).collect(),
            images: images.into_iter().map(|(name, running)| (name.to_owned(), image(running))).collect(),
            screen: Screen::default(),
            group: None,
            now: None,
        }
    }

    #[test]
    fn tasks_stand_below_their_images() {
        let began = Instant::now();
        let state = state(began);
        let now = began + Duration::from_secs(5);
        let shown = frame(&state, now, Size { columns: 100, lines: 30 }, false);
        assert_eq!(shown[0], "app 5.0s");
        assert!(shown[1].starts_with("  resolve  Python packages"), "{shown:#?}");
        assert_eq!(shown[3], "web:k8s 5.0s");
        assert!(
            shown[4].starts_with("  compress code ") && shown[4].ends_with("25.0/100.0 MiB    5.00 MiB/s    15s"),
            "{shown:#?}"
        );
        assert!(shown[4].contains("[===>        ]"), "{shown:#?}");
        assert!(shown[5].starts_with("download registry"), "{shown:#?}");
        assert_eq!(shown[6], "5.0s: images 2 under way, 1 done");
        // What is over in a moment is not drawn.
        assert!(frame(&state, began + Duration::from_millis(300), Size { columns: 100, lines: 30 }, false).is_empty());
    }

    #[test]
    fn no_line_is_wider_and_no_frame_higher_than_the_terminal() {
        let began = Instant::now();
        let state = state(began);
        for columns in 20..140 {
            for lines in 4..12 {
                let shown = frame(&state, began + Duration::from_secs(4000), Size { columns, lines }, true);
                assert!(shown.len() < lines, "{columns}×{lines}: {shown:#?}");
                for line in &shown {
                    assert!(measure_text_width(line) <= columns, "{columns}: {line:?}");
                }
            }
        }
    }
}
