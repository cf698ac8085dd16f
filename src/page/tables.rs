//! The tables of a page.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::facts::{Comparison, ImageFacts, LayerFacts, PlatformFacts};
use super::html::{LEGEND, count, date, escaped};
use super::{shown, size_text};
use crate::difference::Kind;

fn percent(part: u64, whole: u64) -> u64 {
    match whole {
        0 => 0,
        whole => (part as f64 * 100.0 / whole as f64).round() as u64,
    }
}

fn kind_class(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Debian) => "debian",
        Some(Kind::Python) => "python",
        None => "other",
    }
}

/// A table that may be wider than the screen.
pub(super) fn table(class: &str, caption: &str, head: &str, rows: &str) -> String {
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\">\n<table class=\"{class}\">\n\
         <caption><span>{caption}</span></caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

fn size_of(platform: &PlatformFacts, image: &ImageFacts, of: impl Fn(&LayerFacts) -> bool) -> u64 {
    let layers = image.layers.iter().filter_map(|number| platform.layers.get(*number));
    layers.filter(|layer| of(layer)).map(|layer| layer.size).sum()
}

pub(super) fn figures_and_images(platform: &PlatformFacts) -> String {
    let stored: u64 = platform.layers.iter().map(|layer| layer.size).sum();
    let apart: u64 = platform.images.iter().map(|image| size_of(platform, image, |_| true)).sum();
    let largest = platform.images.iter().map(|image| image.unpacked).max().unwrap_or_default();
    let of_kind = |kind| {
        let packages = platform.packages.iter().filter(|facts| facts.package.kind == kind);
        packages.map(|facts| (&facts.package.name, &facts.package.version)).collect::<BTreeSet<_>>().len()
    };
    let mut out = String::from("<dl class=\"figures\">\n");
    let mut figure = |title: &str, value: String, note: String| {
        let _ = writeln!(out, "<div><dt>{title}</dt><dd>{value}<small>{note}</small></dd></div>");
    };
    figure("Stored", size_text(stored), format!("{}, each once", count(platform.layers.len() as u64, "layer")));
    if platform.images.len() > 1 {
        let saved = apart.saturating_sub(stored);
        figure(
            "Saved by sharing",
            size_text(saved),
            format!("{} % of the {} that they would be apart", percent(saved, apart), size_text(apart)),
        );
    }
    figure("Largest image", size_text(largest), "unpacked".to_owned());
    figure(
        "Packages",
        (of_kind(Kind::Debian) + of_kind(Kind::Python)).to_string(),
        format!("{} Debian, {} Python", of_kind(Kind::Debian), of_kind(Kind::Python)),
    );
    out.push_str("</dl>\n");
    let mut rows = String::new();
    for image in &platform.images {
        let size = size_of(platform, image, |_| true);
        let own = size_of(platform, image, |layer| layer.images.len() == 1);
        let names: Vec<String> = image.references.iter().map(|name| escaped(name)).collect();
        let names = if names.is_empty() { String::new() } else { format!("<small>{}</small>", names.join("<br>")) };
        let hidden = match image.hidden {
            0 => String::new(),
            hidden => format!("<small>{} more is hidden in lower layers</small>", size_text(hidden)),
        };
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{}{names}</th><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}{hidden}</td><td class=\"number\">{}</td><td>{}</td><td>{}</td><td><code title=\"{}\">{}</code></td></tr>",
            escaped(&image.name),
            size_text(size),
            size_text(own),
            size_text(image.unpacked),
            image.files,
            escaped(image.user.as_deref().unwrap_or("root")),
            image.created.as_deref().map(date).unwrap_or_default(),
            image.digest,
            image.digest.short(),
        );
    }
    let head = "<th scope=\"col\">Image</th><th scope=\"col\" class=\"number\">Stored</th><th scope=\"col\" class=\"number\">Its own</th>\
                <th scope=\"col\" class=\"number\">Unpacked</th><th scope=\"col\" class=\"number\">Files</th><th scope=\"col\">User</th>\
                <th scope=\"col\">Date</th><th scope=\"col\">Digest</th>";
    out.push_str(&table("images", "Images; “its own” is what no other image here has", head, &rows));
    out
}

/// A line below the matrix: its title, what it says of savings, and which layers it adds up.
type Foot<'a> = (&'a str, String, &'a dyn Fn(&LayerFacts) -> bool);

/// Which layer is in which image.
pub(super) fn matrix(platform: &PlatformFacts, before: Option<&str>) -> String {
    let stored: u64 = platform.layers.iter().map(|layer| layer.size).sum();
    let most = platform.layers.iter().map(|layer| layer.size).max().unwrap_or_default();
    let mut out = reuse(platform, before, stored);
    out.push_str(LEGEND);
    let _ = writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Layers and images\">\n<table class=\"matrix\">\n\
         <caption><span>Layers, the lowest first, and the images that have them</span></caption>\n<thead><tr><th scope=\"col\">Layer</th>\
         <th scope=\"col\" class=\"number\">Size</th><th scope=\"col\" class=\"number\">Saves</th>"
    );
    for image in &platform.images {
        let _ = write!(out, "<th scope=\"col\" class=\"image\">{}</th>", escaped(&image.name).replace(':', ":<wbr>"));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for layer in &platform.layers {
        let saves = layer.size * (layer.images.len() as u64).saturating_sub(1);
        let saves = if saves == 0 { "<span class=\"none\">–</span>".to_owned() } else { size_text(saves) };
        let line = layer.line.as_ref().filter(|line| **line != layer.title);
        let line = line.map(|line| line.split_once(": ").map_or(line.as_str(), |(_, what)| what)).unwrap_or_default();
        let whence = if layer.is_made { "" } else { "from a base" };
        let there = if layer.is_there { "already there" } else { "" };
        let files = format!("{}, {} unpacked", count(layer.files, "file"), size_text(layer.unpacked));
        let notes = [line, whence, there, &files].into_iter().filter(|note| !note.is_empty());
        let notes: Vec<String> = notes.map(escaped).collect();
        let _ = write!(
            out,
            "<tr class=\"{}\"><th scope=\"row\" title=\"{}\"><span class=\"title\">{}</span><small>{}</small></th>\
             <td class=\"number\">{}{}</td><td class=\"number\">{saves}</td>",
            kind_class(layer.kind),
            layer.digest,
            escaped(&layer.title),
            notes.join(" · "),
            size_text(layer.size),
            measure(layer.size, most),
        );
        for number in 0..platform.images.len() {
            let is = |number: usize| layer.images.contains(&number);
            let (left, right) = (number > 0 && is(number - 1), is(number + 1));
            out.push_str(match (is(number), left, right) {
                (false, ..) => "<td><span class=\"unseen\">no</span></td>",
                (true, true, true) => "<td class=\"has\"><span class=\"unseen\">yes</span></td>",
                (true, true, false) => "<td class=\"has last\"><span class=\"unseen\">yes</span></td>",
                (true, false, true) => "<td class=\"has first\"><span class=\"unseen\">yes</span></td>",
                (true, false, false) => "<td class=\"has first last\"><span class=\"unseen\">yes</span></td>",
            });
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n<tfoot>\n");
    let saved: u64 =
        platform.layers.iter().map(|layer| layer.size * (layer.images.len() as u64).saturating_sub(1)).sum();
    let foot: [Foot<'_>; 2] = [
        ("In all", size_text(saved), &|_| true),
        ("In one image alone", String::new(), &|layer| layer.images.len() == 1),
    ];
    for (title, saves, of) in foot {
        let sum: u64 = platform.layers.iter().filter(|layer| of(layer)).map(|layer| layer.size).sum();
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{title}</th><td class=\"number\">{}</td><td class=\"number\">{saves}</td>",
            size_text(sum),
        );
        for image in &platform.images {
            let _ = write!(out, "<td class=\"number\">{}</td>", size_text(size_of(platform, image, of)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tfoot>\n</table>\n</div>\n");
    out
}

/// What was not made or sent anew, in words.
fn reuse(platform: &PlatformFacts, before: Option<&str>, stored: u64) -> String {
    let sum = |of: &dyn Fn(&LayerFacts) -> bool| -> (u64, u64) {
        let layers = platform.layers.iter().filter(|layer| of(layer));
        layers.fold((0, 0), |(number, size), layer| (number + 1, size + layer.size))
    };
    let mut lines = Vec::new();
    let (shared, size) = sum(&|layer| layer.images.len() > 1);
    if shared > 0 {
        let saved: u64 =
            platform.layers.iter().map(|layer| layer.size * (layer.images.len() as u64).saturating_sub(1)).sum();
        lines.push(format!(
            "{} of {} ({}) {} in several images; that saves <strong>{}</strong>.",
            count(shared, "layer"),
            platform.layers.len(),
            size_text(size),
            if shared == 1 { "is" } else { "are" },
            size_text(saved)
        ));
    }
    let (foreign, size) = sum(&|layer| !layer.is_made);
    if foreign > 0 {
        lines.push(format!(
            "{} ({}) came with a base and were not made here.",
            count(foreign, "layer"),
            size_text(size)
        ));
    }
    if let Some(place) = before {
        let (there, size) = sum(&|layer| layer.is_there);
        lines.push(format!(
            "{} ({}) {} at <code>{}</code> already: what is new there is <strong>{}</strong>.",
            count(there, "layer"),
            size_text(size),
            if there == 1 { "is" } else { "are" },
            escaped(place),
            size_text(stored.saturating_sub(size))
        ));
    }
    match lines.is_empty() {
        true => String::new(),
        false => format!("<ul class=\"told\">\n<li>{}</li>\n</ul>\n", lines.join("</li>\n<li>")),
    }
}

/// A bar, as long as its part of the whole.
fn measure(part: u64, whole: u64) -> String {
    let width = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    format!(
        "<svg class=\"measure\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect width=\"{width:.1}\" height=\"4\"/></svg>"
    )
}

pub(super) fn packages(platform: &PlatformFacts) -> String {
    if platform.packages.is_empty() {
        return "<p>No package database was found in these images.</p>\n".to_owned();
    }
    let mut rows = String::new();
    for facts in &platform.packages {
        let mut layers: Vec<(&str, usize)> = Vec::new();
        for layer in facts.layers.iter().filter_map(|layer| platform.layers.get(*layer)) {
            match layers.iter_mut().find(|(title, _)| *title == layer.title) {
                Some((_, number)) => *number += 1,
                None => layers.push((&layer.title, 1)),
            }
        }
        let layers = layers.iter().map(|(title, number)| match number {
            1 => escaped(title),
            number => format!("{} <span class=\"none\">({number} layers)</span>", escaped(title)),
        });
        let images: Vec<&str> = facts
            .images
            .iter()
            .filter_map(|image| platform.images.get(*image))
            .map(|image| image.name.as_str())
            .collect();
        let (told, all) = match (images.len(), platform.images.len()) {
            (1, 1) => (images.join(", "), String::new()),
            (some, all) if some == all => (format!("all {all}"), images.join(", ")),
            (1 | 2, _) => (images.join(", "), String::new()),
            (some, all) => (format!("{some} of {all}"), images.join(", ")),
        };
        let kind = facts.package.kind;
        let _ = writeln!(
            rows,
            "<tr data-kind=\"{word}\"><th scope=\"row\">{}</th><td class=\"version\">{}</td><td class=\"kind {word}\">{}</td>\
             <td class=\"number\" data-value=\"{size}\">{}</td><td>{}</td><td title=\"{}\">{}</td></tr>",
            escaped(&facts.package.name),
            escaped(&facts.package.version),
            if kind == Kind::Debian { "Debian" } else { "Python" },
            size_text(facts.size),
            layers.collect::<Vec<_>>().join(", "),
            escaped(&all),
            escaped(&told),
            word = kind.word(),
            size = facts.size,
        );
    }
    let head = "<th scope=\"col\">Name</th><th scope=\"col\">Version</th><th scope=\"col\">Kind</th>\
                <th scope=\"col\" class=\"number\">Unpacked</th><th scope=\"col\">Layer</th><th scope=\"col\">Images</th>";
    let filter = "<form class=\"bar filter\" role=\"search\" hidden>\n<label>Filter <input type=\"search\" autocomplete=\"off\" \
                  spellcheck=\"false\" placeholder=\"name, version, layer or image\"></label>\n\
                  <label>Kind <select><option value=\"\">all</option><option value=\"debian\">Debian</option>\
                  <option value=\"python\">Python</option></select></label>\n<output aria-live=\"polite\"></output>\n</form>\n";
    format!(
        "{filter}{}",
        table("packages sortable", "Packages with their versions, and the layer that has them", head, &rows)
    )
}

pub(super) fn variants(platform: &PlatformFacts) -> String {
    platform.comparisons.iter().map(|comparison| variant_table(platform, comparison)).collect()
}

fn variant_table(platform: &PlatformFacts, comparison: &Comparison) -> String {
    let images: Vec<&ImageFacts> = comparison.images.iter().filter_map(|number| platform.images.get(*number)).collect();
    let label = |image: &ImageFacts| escaped(image.label.as_deref().unwrap_or(&image.name));
    let mut head = "<th scope=\"col\">What</th>".to_owned();
    for image in &images {
        let _ = write!(head, "<th scope=\"col\">{}</th>", label(image));
    }
    let mut rows = String::new();
    let mut row = |what: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        let _ = writeln!(rows, "<tr><th scope=\"row\">{}</th>{cells}</tr>", escaped(what));
    };
    for (what, values) in &comparison.settings {
        let cell = |value: &Option<String>| match value {
            Some(value) => format!("<code>{}</code>", escaped(value)),
            None => "<span class=\"none\">–</span>".to_owned(),
        };
        row(what, values.iter().map(cell).collect());
    }
    let alone = |image: &ImageFacts| {
        let others = images.iter().filter(|other| other.digest != image.digest);
        let theirs: Vec<usize> = others.flat_map(|other| other.layers.iter().copied()).collect();
        let own: Vec<&str> = image
            .layers
            .iter()
            .filter(|layer| !theirs.contains(layer))
            .filter_map(|layer| platform.layers.get(*layer))
            .map(|layer| layer.title.as_str())
            .collect();
        match own.is_empty() {
            true => "<span class=\"none\">–</span>".to_owned(),
            false => escaped(&own.join(", ")),
        }
    };
    row("layers of its own", images.iter().map(|image| alone(image)).collect());
    row("stored", images.iter().map(|image| size_text(size_of(platform, image, |_| true))).collect());
    row("files", images.iter().map(|image| format!("{}, {}", image.files, size_text(image.unpacked))).collect());
    let mut out = format!(
        "<h3>{}</h3>\n{}",
        escaped(&comparison.family),
        table("variants", &format!("In what the variants of {} differ", escaped(&comparison.family)), &head, &rows)
    );
    for (number, total, paths) in &comparison.paths {
        let (Some(first), Some(other)) = (images.first(), platform.images.get(*number)) else { continue };
        if *total == 0 {
            continue;
        }
        let mut list = String::new();
        for path in paths {
            let side = |side: &Option<String>| escaped(&shown(side.as_deref().unwrap_or("not there").as_bytes()));
            let _ = writeln!(
                list,
                "<li><code>{}</code> <span>{} → {}</span></li>",
                escaped(&shown(path.of.as_bytes())),
                side(&path.first),
                side(&path.second)
            );
        }
        let more = total.saturating_sub(paths.len());
        let more = if more == 0 { String::new() } else { format!("<p class=\"note\">and {more} more</p>\n") };
        let _ = write!(
            out,
            "<details>\n<summary>{} and {} differ at {} in kind, mode or owner</summary>\n<ul class=\"paths\">\n{list}</ul>\n{more}</details>\n",
            label(first),
            label(other),
            count(*total as u64, "path"),
        );
    }
    out
}

pub(super) fn bases(platform: &PlatformFacts) -> String {
    let mut rows = String::new();
    for image in &platform.images {
        let base = match &image.base {
            Some((name, digest)) => {
                let digest = digest.as_ref().map(|digest| format!("<small><code>{}</code></small>", escaped(digest)));
                format!("<code>{}</code>{}", escaped(name), digest.unwrap_or_default())
            }
            None => "<span class=\"none\">none is named</span>".to_owned(),
        };
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{base}</td><td>{}</td><td>{}</td></tr>",
            escaped(&image.name),
            escaped(image.system.as_deref().unwrap_or_default()),
            image.created.as_deref().map(date).unwrap_or_default(),
        );
    }
    let head = "<th scope=\"col\">Image</th><th scope=\"col\">Stands on</th><th scope=\"col\">System</th><th scope=\"col\">Date</th>";
    table("bases", "What the images stand on", head, &rows)
}
