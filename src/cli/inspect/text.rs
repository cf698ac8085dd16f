//! What is in an image, for people: the same as for machines, without braces.

use std::io::{self, Write};

use lapstrake::logins;
use lapstrake::shown::bare;
use serde_json::Value;

use super::{Told, ToldImage, file_json};

/// All of it; every package by name where `packages`.
pub(super) fn write(all: &[Told], packages: bool, to: &mut dyn Write) -> io::Result<()> {
    let each = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for Told { rest: artifact, images } in all {
        let mut out = String::new();
        out.push_str(&format!("{}\n  digest    {}\n", word(&artifact["name"]), word(&artifact["digest"])));
        for name in each(&artifact["names"]).iter().skip(1) {
            out.push_str(&format!("  also      {}\n", word(name)));
        }
        for ToldImage { rest: image, contents } in images {
            let config = &image["config"];
            out.push_str(&format!("  platform  {}\n", word(&image["platform"])));
            if image["digest"] != artifact["digest"] {
                out.push_str(&format!("  manifest  {}\n", word(&image["digest"])));
            }
            out.push_str(&format!("  image ID  {}\n  created   {}\n", word(&image["id"]), word(&image["created"])));
            if let Some(name) = image["base"]["name"].as_str() {
                out.push_str(&format!("  base      {} {}\n", bare(name), word(&image["base"]["digest"])));
            }
            for (label, key) in [
                ("user", "User"),
                ("workdir", "WorkingDir"),
                ("entrypoint", "Entrypoint"),
                ("cmd", "Cmd"),
                ("stop", "StopSignal"),
            ] {
                if !config[key].is_null() {
                    out.push_str(&format!("  {label:<9} {}\n", said(&config[key])));
                }
            }
            for line in each(&config["Env"]) {
                // Apart, so that the name is not taken for a part of the login.
                let told = match line.as_str().and_then(|line| line.split_once('=')) {
                    Some((name, value)) => format!("{}={}", logins::shown(name), logins::shown(value)),
                    None => said(&line),
                };
                out.push_str(&format!("  env       {told}\n"));
            }
            for (label, key) in [("port", "ExposedPorts"), ("volume", "Volumes"), ("label", "Labels")] {
                for (name, value) in config[key].as_object().into_iter().flatten() {
                    match value {
                        Value::String(text) => {
                            out.push_str(&format!("  {label:<9} {}={}\n", logins::shown(name), logins::shown(text)));
                        }
                        _ => out.push_str(&format!("  {label:<9} {}\n", logins::shown(name))),
                    }
                }
            }
            if !config["Healthcheck"].is_null() {
                out.push_str(&format!("  health    {}\n", said(&config["Healthcheck"]["Test"])));
            }
            let layers = each(&image["layers"]);
            let total = image["size"].as_u64().unwrap_or_default();
            out.push_str(&format!("  layers    {}, {}\n", layers.len(), indicatif::BinaryBytes(total)));
            for layer in layers {
                let size = indicatif::BinaryBytes(layer["size"].as_u64().unwrap_or_default()).to_string();
                let digest = word(&layer["digest"]);
                let short = digest.get(..19).unwrap_or(&digest);
                out.push_str(&format!("    {short} {size:>12}  {}\n", said(&layer["created_by"])));
            }
            packages_text(&each(&image["packages"]), packages, &mut out);
            users_text(&each(&image["users"]), &mut out);
            match contents {
                None => largest_text(&each(&image["largest"]), &mut out),
                Some(contents) => {
                    to.write_all(std::mem::take(&mut out).as_bytes())?;
                    for (path, node) in contents.rootfs().iter() {
                        to.write_all(file_line(&file_json(contents, path, node)).as_bytes())?;
                    }
                }
            }
        }
        to.write_all(out.as_bytes())?;
    }
    Ok(())
}

/// What the image says, without logins.
fn said(value: &Value) -> String {
    match value {
        Value::String(text) => logins::shown(text),
        Value::Null => "-".to_owned(),
        other => logins::shown(&other.to_string()),
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => bare(text),
        Value::Null => "-".to_owned(),
        other => bare(&other.to_string()),
    }
}

/// How many of each kind; by name where they are asked for.
fn packages_text(packages: &[Value], by_name: bool, out: &mut String) {
    if packages.is_empty() {
        return;
    }
    let count = |kind: &str| packages.iter().filter(|package| package["kind"] == kind).count();
    let counts = ["debian", "python"].map(|kind| (count(kind), kind));
    let told = counts.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}"));
    let hint = if by_name { "" } else { "  (--packages names them)" };
    out.push_str(&format!("  packages  {}{hint}\n", told.collect::<Vec<_>>().join(", ")));
    for package in packages.iter().filter(|_| by_name) {
        let [kind, name, version] = ["kind", "name", "version"].map(|key| word(&package[key]));
        out.push_str(&format!("    {kind}  {name} {version}\n"));
    }
}

fn users_text(users: &[Value], out: &mut String) {
    let user = |user: &Value| format!("{} {}:{}", word(&user["name"]), word(&user["uid"]), word(&user["gid"]));
    let told: Vec<String> = users.iter().map(user).collect();
    if !told.is_empty() {
        out.push_str(&format!("  users     {}\n", told.join(", ")));
    }
}

fn largest_text(files: &[Value], out: &mut String) {
    if !files.is_empty() {
        out.push_str("  largest\n");
    }
    for file in files {
        let size = indicatif::BinaryBytes(file["size"].as_u64().unwrap_or_default()).to_string();
        out.push_str(&format!("    {size:>11}  {}\n", word(&file["path"])));
    }
}

/// Mode, owner, size and path of a file, and what else there is to it.
pub(super) fn file_line(file: &Value) -> String {
    let target = file["target"].as_str().map(|target| format!(" -> {}", bare(target))).unwrap_or_default();
    let capabilities = file["capabilities"].as_str().map(|text| format!(" [{text}]")).unwrap_or_default();
    let [mode, owner, size, path] = ["mode", "owner", "size", "path"].map(|key| word(&file[key]));
    format!("    {mode} {owner:>11} {size:>10} {path}{target}{capabilities}\n")
}
