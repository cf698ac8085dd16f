//! Drawing what the library tells: bars on a terminal, lines elsewhere, JSON for machines.
//!
//! ```text
//! mod.rs      what is going on, and who is told
//! bars.rs     a terminal: what runs now, image by image
//! lines.rs    logs: a line for what took its time
//! json.rs     one object a line (docs/json.md)
//! ci.rs       groups, annotations and step summaries of CI systems
//! summary.rs  what was built, as a table
//! ```

mod bars;
mod ci;
mod json;
mod lines;
mod summary;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::BinaryBytes;
use lapstrake::oci::Digest;
use lapstrake::report::{Balance, Event, Phase, Report, TaskId};
use lapstrake::shown::in_line;

use super::args::{Global, ProgressMode};
use super::environment::style;
use super::exit::Failure;
use super::log::{self, Lines};
use bars::Screen;
use ci::Ci;
pub(crate) use summary::Summary;

/// What takes less is not worth a line.
const WORTH_SHOWING: Duration = Duration::from_secs(1);

/// Draws events on standard error. Clones draw the same.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Inner>);

struct Inner {
    mode: Mode,
    ci: Ci,
    state: Mutex<State>,
    ticking: Once,
}

enum Mode {
    Bars,
    Lines,
    Json,
    Quiet,
}

/// What is going on.
struct State {
    /// When the command, or the build of several, began.
    began: Instant,
    tasks: BTreeMap<TaskId, Task>,
    images: BTreeMap<String, Image>,
    screen: Screen,
    /// The group of the log that is open.
    group: Option<ci::Group>,
    /// The group that lines are put into now, and when it began.
    now: Option<(ci::Group, Instant)>,
}

/// A task under way.
struct Task {
    image: Option<String>,
    phase: Phase,
    subject: String,
    total: Option<u64>,
    done: u64,
    began: Instant,
    /// When it was told last.
    spoke: Instant,
}

impl Task {
    /// Bytes a second, on the whole; 0 where that cannot be told yet.
    fn rate(&self, now: Instant) -> u64 {
        let seconds = now.duration_since(self.began).as_secs_f64();
        if seconds < 0.1 { 0 } else { (self.done as f64 / seconds) as u64 }
    }

    /// How long it will take yet, if it goes on as it did.
    fn left(&self, now: Instant) -> Option<Duration> {
        let (total, rate) = (self.total?, self.rate(now));
        (rate > 0).then(|| Duration::from_secs(total.saturating_sub(self.done).div_ceil(rate)))
    }
}

/// An image that was begun.
struct Image {
    began: Instant,
    ended: Instant,
    /// For how many platforms it is being built.
    running: usize,
}

impl Image {
    fn took(&self) -> Duration {
        self.ended.duration_since(self.began)
    }
}

impl Progress {
    /// As the arguments, the terminal and the CI system say.
    pub(crate) fn new(global: &Global) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let mode = match global.progress {
            _ if global.quiet => Mode::Quiet,
            ProgressMode::Quiet => Mode::Quiet,
            ProgressMode::Json => Mode::Json,
            ProgressMode::Tty => Mode::Bars,
            ProgressMode::Auto if log::is_terminal() && !dumb => Mode::Bars,
            ProgressMode::Plain | ProgressMode::Auto => Mode::Lines,
        };
        let ci = if matches!(mode, Mode::Lines) { Ci::here() } else { Ci::None };
        if matches!(mode, Mode::Json) {
            json::start();
        }
        let state = State {
            began: Instant::now(),
            tasks: BTreeMap::new(),
            images: BTreeMap::new(),
            screen: Screen::default(),
            group: None,
            now: None,
        };
        Progress(Arc::new(Inner { mode, ci, state: Mutex::new(state), ticking: Once::new() }))
    }

    /// A build begins, the first or a further one; its lines are put into groups until its end. What is sent meanwhile
    /// belongs to it.
    pub(crate) fn begin(&self) {
        let mut state = self.0.state();
        state.began = Instant::now();
        state.images.clear();
        state.now = Some((ci::Group::Build, state.began));
    }

    /// All is built, and is pushed now.
    pub(crate) fn begin_push(&self) {
        self.0.state().now = Some((ci::Group::Push, Instant::now()));
    }

    /// A build ended, well or not.
    pub(crate) fn end(&self) {
        let mut state = self.0.state();
        state.now = None;
        state.screen.clear();
        self.0.ungroup(&mut state);
    }

    /// Tells what was built.
    pub(crate) fn summary(&self, summary: Summary) {
        self.end();
        let state = self.0.state();
        let summary = summary.timed(state.began.elapsed(), |image| state.images.get(image).map(Image::took));
        drop(state);
        match self.0.mode {
            Mode::Json => json::line("summary", json::summary(&summary)),
            Mode::Quiet => {}
            Mode::Bars | Mode::Lines => {
                let is_terminal = matches!(self.0.mode, Mode::Bars) && log::is_terminal();
                let width = if is_terminal { bars::width() } else { LOG_WIDTH };
                if summary.is_worth_telling() {
                    log::write(&Lines::drawn(summary.table(width, style().color).trim_end()));
                }
            }
        }
        if let Err(error) = ci::step_summary(&summary.markdown()) {
            self.0.warn(&format!("writing GITHUB_STEP_SUMMARY: {error}"));
        }
    }

    /// Tells a warning that is drawn already.
    pub(crate) fn diagnostic(&self, drawn: &str) {
        let text = drawn.trim_end();
        match self.0.mode {
            Mode::Json => json::line("warning", json::object([("text", plain(text).into())])),
            Mode::Quiet => {}
            Mode::Bars | Mode::Lines => {
                self.0.say(&Lines::drawn(text));
                if let Some(line) = self.0.ci.annotation("warning", "lapstrake", first_line(text)) {
                    self.0.say(&line);
                }
            }
        }
    }
}

/// How wide tables are where there is no terminal: that of a wide log.
const LOG_WIDTH: usize = 120;

/// Tells a command's failure, in the form that was asked for.
pub(crate) fn fail(global: &Global, failure: &Failure) {
    if global.progress == ProgressMode::Json && !global.quiet {
        return json::line("error", json::failure(failure));
    }
    let text = failure.render();
    log::write(&if failure.drawn { Lines::drawn(&text) } else { Lines::told(&text) });
    Ci::here().annotations_of(failure).iter().for_each(log::write);
}

fn plain(text: &str) -> String {
    console::strip_ansi_codes(text).into_owned()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A size, for people.
fn bytes(count: u64) -> String {
    BinaryBytes(count).to_string()
}

/// A time, for people.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", time.as_secs_f64()),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Drawing goes on whatever became of who told something.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines above what is drawn.
    fn say(&self, lines: &Lines) {
        self.state().screen.say(lines);
    }

    fn warn(&self, text: &str) {
        match self.ci.annotation("warning", "lapstrake", text) {
            Some(line) => self.say(&line),
            None => self.say(&Lines::told(&format!("warning: {text}"))),
        }
    }

    /// Writes a line on something that took its time, in the group that is now.
    fn tell(&self, state: &mut State, text: &str) {
        if let Some((group, began)) = state.now.filter(|(group, _)| state.group != Some(*group)) {
            self.ungroup(state);
            if let Some(line) = self.ci.open(group, began.elapsed()) {
                state.screen.say(&line);
                state.group = Some(group);
            }
        }
        state.screen.say(&Lines::told(text));
    }

    fn ungroup(&self, state: &mut State) {
        if let Some(line) = state.group.take().and_then(|group| self.ci.close(group)) {
            state.screen.say(&line);
        }
    }

    /// Draws what runs, and says what goes on for long.
    fn tick(&self) {
        let mut state = self.state();
        let now = Instant::now();
        match self.mode {
            Mode::Bars => {
                let frame = bars::frame(&state, now, bars::size(), style().color);
                state.screen.draw(frame);
            }
            Mode::Lines => {
                for text in lines::still_there(&mut state, now) {
                    self.tell(&mut state, &text);
                }
            }
            Mode::Json | Mode::Quiet => {}
        }
    }

    fn start(&self, id: TaskId, image: Option<&str>, phase: Phase, subject: &str, total: Option<u64>) {
        if matches!(self.mode, Mode::Json) {
            json::line(
                "task_started",
                json::object([
                    ("task", json::number(id)),
                    ("image", image.into()),
                    ("phase", phase.word().into()),
                    ("subject", subject.into()),
                    ("total", total.into()),
                ]),
            );
        }
        let now = Instant::now();
        let subject = match self.mode {
            Mode::Json => plain(subject),
            _ => in_line(&plain(subject)),
        };
        let image = image.map(str::to_owned);
        let task = Task { image, phase, subject, total, done: 0, began: now, spoke: now };
        self.state().tasks.insert(id, task);
    }

    fn advance(&self, id: TaskId, bytes: u64) {
        let mut state = self.state();
        let Some(task) = state.tasks.get_mut(&id) else { return };
        task.done = task.done.saturating_add(bytes);
        if matches!(self.mode, Mode::Json) && task.spoke.elapsed() >= WORTH_SHOWING {
            task.spoke = Instant::now();
            let fields = [("task", json::number(id)), ("bytes", task.done.into()), ("total", task.total.into())];
            json::line("task_advanced", json::object(fields));
        }
    }

    fn finish(&self, id: TaskId, outcome: Option<&str>) {
        let mut state = self.state();
        let Some(task) = state.tasks.remove(&id) else { return };
        let took = task.began.elapsed();
        // What the end of the last one leaves on the screen would stay there.
        if state.tasks.is_empty() {
            state.screen.clear();
        }
        match self.mode {
            Mode::Json => json::line(
                "task_finished",
                json::object([
                    ("task", json::number(id)),
                    ("image", task.image.as_deref().into()),
                    ("phase", task.phase.word().into()),
                    ("subject", task.subject.as_str().into()),
                    ("bytes", task.done.into()),
                    ("outcome", outcome.into()),
                    ("took", json::time(took)),
                ]),
            ),
            // On a terminal, an image is told as a whole.
            Mode::Lines if took >= WORTH_SHOWING => {
                let text = lines::finished(&task, took, outcome, state.began.elapsed());
                self.tell(&mut state, &text);
            }
            Mode::Bars if took >= WORTH_SHOWING && task.image.is_none() => {
                let text = lines::finished(&task, took, outcome, state.began.elapsed());
                state.screen.say(&Lines::told(&text));
            }
            _ => {}
        }
    }

    fn image_started(&self, name: &str, platform: &str) {
        let now = Instant::now();
        let mut state = self.state();
        let new = || Image { began: now, ended: now, running: 0 };
        state.images.entry(name.to_owned()).or_insert_with(new).running += 1;
        if matches!(self.mode, Mode::Json) {
            json::line("image_started", json::object([("image", name.into()), ("platform", platform.into())]));
        }
    }

    fn image_finished(&self, name: &str, platform: &str, digest: Digest, balance: &Balance) {
        let mut state = self.state();
        let Some(image) = state.images.get_mut(name) else { return };
        image.ended = Instant::now();
        image.running = image.running.saturating_sub(1);
        let took = image.took();
        match self.mode {
            Mode::Json => json::line("image_finished", json::image(name, platform, digest, balance, took)),
            Mode::Bars | Mode::Lines if took >= WORTH_SHOWING => {
                let text = lines::image(name, platform, balance, took, state.began.elapsed());
                self.tell(&mut state, &text);
            }
            _ => {}
        }
    }
}

impl Progress {
    /// Starts what draws from time to time: not before there is something that may take a while.
    fn keep_ticking(&self) {
        let every = match self.0.mode {
            Mode::Bars => Duration::from_millis(100),
            Mode::Lines => Duration::from_secs(1),
            Mode::Json | Mode::Quiet => return,
        };
        self.0.ticking.call_once(|| {
            let inner = Arc::downgrade(&self.0);
            let tick = move || {
                loop {
                    thread::sleep(every);
                    match inner.upgrade() {
                        Some(inner) => inner.tick(),
                        None => return,
                    }
                }
            };
            // Where there is no thread for it, nothing is drawn.
            let _ = thread::Builder::new().name("progress".to_owned()).spawn(tick);
        });
    }
}

impl Report for Progress {
    fn is_interrupted(&self) -> bool {
        super::signals::came()
    }

    fn event(&self, event: Event<'_>) {
        let inner = &self.0;
        match event {
            Event::Started { id, image, phase, subject, total } => {
                inner.start(id, image, phase, subject, total);
                self.keep_ticking();
            }
            Event::Advanced { id, bytes } => inner.advance(id, bytes),
            Event::Finished { id, outcome } => inner.finish(id, outcome),
            Event::ImageStarted { image, platform } => inner.image_started(image, platform),
            Event::ImageFinished { image, platform, digest, balance } => {
                inner.image_finished(image, platform, digest, balance);
            }
            Event::Note(text) => match inner.mode {
                Mode::Json => json::line("note", json::object([("text", text.into())])),
                Mode::Quiet => {}
                _ => inner.say(&Lines::told(&format!("note: {text}"))),
            },
            Event::Warning(text) => match inner.mode {
                Mode::Json => json::line("warning", json::object([("text", text.into())])),
                Mode::Quiet => {}
                _ => inner.warn(text),
            },
        }
    }
}
