//! Progress for machines: one JSON object a line (docs/json.md).

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use lapstrake::oci::Digest;
use lapstrake::report::{Balance, Tally, TaskId};
use serde_json::{Map, Value, json};

use super::super::exit::Failure;
use super::super::log;
use super::plain;
use super::summary::{Row, Summary};

/// The version of the form: another one where what reads this one could not read it any more.
const VERSION: u64 = 1;

/// When the first line was written.
static START: OnceLock<Instant> = OnceLock::new();

/// Writes the line that comes first, once.
pub(super) fn start() {
    START.get_or_init(|| {
        let program = format!("lapstrake {}", env!("CARGO_PKG_VERSION"));
        write("start", 0.0, object([("version", VERSION.into()), ("program", program.into())]));
        Instant::now()
    });
}

/// Writes a line.
pub(super) fn line(event: &str, fields: Map<String, Value>) {
    start();
    let since = START.get().map_or(Duration::ZERO, Instant::elapsed);
    write(event, since.as_millis() as f64 / 1000.0, fields);
}

fn write(event: &str, seconds: f64, fields: Map<String, Value>) {
    let mut object = object([("event", event.into()), ("seconds", seconds.into())]);
    object.extend(fields);
    log::write_json(&Value::Object(object).to_string());
}

/// An object of these fields.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A task, as a number.
pub(super) fn number(id: TaskId) -> Value {
    id.number().into()
}

/// A time, in seconds.
pub(super) fn time(time: Duration) -> Value {
    (time.as_millis() as f64 / 1000.0).into()
}

fn tally(tally: Tally) -> Value {
    json!({ "count": tally.count, "bytes": tally.bytes })
}

fn balance(of: &Balance) -> Map<String, Value> {
    object([
        ("size", of.size.into()),
        ("made", tally(of.made)),
        ("base", tally(of.base)),
        ("cache", tally(of.cache)),
        ("registry", tally(of.registry)),
        ("compared", of.compared.into()),
    ])
}

/// An image that is there.
pub(super) fn image(name: &str, platform: &str, digest: Digest, of: &Balance, took: Duration) -> Map<String, Value> {
    let mut fields =
        object([("image", name.into()), ("platform", platform.into()), ("digest", digest.to_string().into())]);
    fields.extend(balance(of));
    fields.insert("took".to_owned(), time(took));
    fields
}

/// What was built.
pub(super) fn summary(summary: &Summary) -> Map<String, Value> {
    object([
        ("took", time(summary.took)),
        ("made", tally(summary.made)),
        ("sent", tally(summary.sent)),
        ("compared", summary.compared().into()),
        ("images", summary.rows.iter().map(row).collect::<Vec<_>>().into()),
    ])
}

fn row(row: &Row) -> Value {
    let mut fields = object([
        ("image", row.image.as_str().into()),
        ("variant", row.variant.as_deref().into()),
        ("digest", row.digest.to_string().into()),
        ("reference", row.reference.as_deref().into()),
        ("took", row.took.map_or(Value::Null, time)),
    ]);
    fields.extend(balance(&row.balance));
    let pushed = row.pushed.iter().map(|pushed| {
        json!({
            "repository": pushed.repository,
            "tags": pushed.tags,
            "unchanged": pushed.unchanged,
            "uploaded": tally(pushed.uploaded),
            "mounted": tally(pushed.mounted),
            "present": tally(pushed.present),
        })
    });
    fields.insert("pushed".to_owned(), pushed.collect::<Vec<_>>().into());
    Value::Object(fields)
}

/// A command's failure.
pub(super) fn failure(failure: &Failure) -> Map<String, Value> {
    object([
        ("code", failure.kind.to_string().into()),
        ("text", plain(&failure.text()).into()),
        ("causes", failure.causes().collect::<Vec<_>>().into()),
        ("hint", failure.advice().into()),
        ("exit", (failure.code as u8).into()),
    ])
}
