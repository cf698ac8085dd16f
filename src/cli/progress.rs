//! Drawing what the library tells: bars on a terminal, lines elsewhere, JSON for machines.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lapstrake::report::{Event, Phase, Report, TaskId};

use super::args::{Global, ProgressMode};

/// What takes less is not worth a bar or a line.
const WORTH_SHOWING: Duration = Duration::from_secs(1);

/// How often a long task says in lines that it is still there.
const STILL_THERE: Duration = Duration::from_secs(10);

/// Draws events on standard error.
pub(crate) struct Progress {
    mode: Mode,
    started: Instant,
    tasks: Mutex<BTreeMap<TaskId, Task>>,
}

enum Mode {
    Bars(MultiProgress),
    Lines,
    Json,
    Quiet,
}

struct Task {
    phase: Phase,
    subject: String,
    total: Option<u64>,
    done: u64,
    began: Instant,
    spoke: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// As the arguments and the terminal say.
    pub(crate) fn new(global: &Global) -> Self {
        let bars = || Mode::Bars(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let mode = match global.progress {
            _ if global.quiet => Mode::Quiet,
            ProgressMode::Quiet => Mode::Quiet,
            ProgressMode::Json => Mode::Json,
            ProgressMode::Tty => bars(),
            ProgressMode::Auto if std::io::stderr().is_terminal() && !dumb => bars(),
            ProgressMode::Plain | ProgressMode::Auto => Mode::Lines,
        };
        Progress { mode, started: Instant::now(), tasks: Mutex::new(BTreeMap::new()) }
    }

    fn line(&self, text: &str) {
        match &self.mode {
            // A closed terminal is no reason to stop.
            Mode::Bars(bars) => drop(bars.println(text)),
            Mode::Lines | Mode::Quiet => drop(writeln!(std::io::stderr(), "{text}")),
            Mode::Json => {}
        }
    }

    fn json(&self, mut value: serde_json::Map<String, serde_json::Value>) {
        value.insert("seconds".to_owned(), (self.started.elapsed().as_millis() as f64 / 1000.0).into());
        let _ = writeln!(std::io::stderr(), "{}", serde_json::Value::Object(value));
    }

    fn start(&self, id: TaskId, phase: Phase, subject: &str, total: Option<u64>) {
        let now = Instant::now();
        let task = Task { phase, subject: subject.to_owned(), total, done: 0, began: now, spoke: now, bar: None };
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).insert(id, task);
    }

    fn advance(&self, id: TaskId, bytes: u64) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(task) = tasks.get_mut(&id) else { return };
        task.done += bytes;
        match (&self.mode, &task.bar) {
            (Mode::Bars(_), Some(bar)) => bar.set_position(task.done),
            (Mode::Bars(bars), None) if task.began.elapsed() >= WORTH_SHOWING => {
                // Added before anything is set: a bar on its own draws itself.
                let bar = bars.add(match task.total {
                    Some(total) => ProgressBar::new(total),
                    None => ProgressBar::new_spinner(),
                });
                dress(&bar, task);
                task.bar = Some(bar);
            }
            (Mode::Lines, _) if task.spoke.elapsed() >= STILL_THERE => {
                task.spoke = Instant::now();
                let text = format!("{:>9} {}: {}", task.phase.word(), task.subject, amount(task));
                drop(tasks);
                self.line(&text);
            }
            _ => {}
        }
    }

    fn finish(&self, id: TaskId, outcome: Option<&str>) {
        let task = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let Some(task) = task else { return };
        if let Some(bar) = &task.bar {
            bar.finish_and_clear();
        }
        match &self.mode {
            Mode::Json => self.json(object([
                ("event", "finished".into()),
                ("phase", task.phase.word().into()),
                ("subject", task.subject.as_str().into()),
                ("bytes", task.done.into()),
                ("outcome", outcome.into()),
            ])),
            Mode::Lines | Mode::Bars(_) if task.began.elapsed() >= WORTH_SHOWING => {
                let outcome = outcome.map(|outcome| format!(", {outcome}")).unwrap_or_default();
                let took = task.began.elapsed().as_secs_f64();
                // What counts no bytes has none to tell.
                let bytes = match task.done {
                    0 => String::new(),
                    done => format!("{} in ", indicatif::BinaryBytes(done)),
                };
                self.line(&format!("{:>9} {}: {bytes}{took:.1} s{outcome}", task.phase.word(), task.subject));
            }
            _ => {}
        }
    }
}

fn object<const N: usize>(fields: [(&str, serde_json::Value); N]) -> serde_json::Map<String, serde_json::Value> {
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn amount(task: &Task) -> String {
    let rate = task.done as f64 / task.began.elapsed().as_secs_f64().max(0.001);
    let (done, rate) = (indicatif::BinaryBytes(task.done), indicatif::BinaryBytes(rate as u64));
    match task.total {
        Some(total) => format!("{done} of {}, {rate}/s", indicatif::BinaryBytes(total)),
        None if task.done == 0 => format!("{:.0} s so far", task.began.elapsed().as_secs_f64()),
        None => format!("{done}, {rate}/s"),
    }
}

fn dress(bar: &ProgressBar, task: &Task) {
    let template = match task.total {
        Some(_) => "{prefix:>9} {wide_msg} [{bar:24}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
        None => "{prefix:>9} {wide_msg} {binary_bytes} {binary_bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix(task.phase.word());
    bar.set_message(task.subject.clone());
    bar.set_position(task.done);
}

impl Report for Progress {
    fn is_interrupted(&self) -> bool {
        super::signals::came()
    }

    fn event(&self, event: Event<'_>) {
        match event {
            Event::Started { id, phase, subject, total } => {
                if matches!(self.mode, Mode::Json) {
                    self.json(object([
                        ("event", "started".into()),
                        ("phase", phase.word().into()),
                        ("subject", subject.into()),
                        ("total", total.into()),
                    ]));
                }
                self.start(id, phase, subject, total);
            }
            Event::Advanced { id, bytes } => self.advance(id, bytes),
            Event::Finished { id, outcome } => self.finish(id, outcome),
            Event::Note(text) => match self.mode {
                Mode::Json => self.json(object([("event", "note".into()), ("text", text.into())])),
                Mode::Quiet => {}
                _ => self.line(&format!("note: {text}")),
            },
            Event::Warning(text) => match self.mode {
                Mode::Json => self.json(object([("event", "warning".into()), ("text", text.into())])),
                Mode::Quiet => {}
                _ => self.line(&format!("warning: {text}")),
            },
        }
    }
}
