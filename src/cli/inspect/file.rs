//! One file of an image, or what a directory of it holds.

use std::io;

use lapstrake::code::ErrorCode;
use lapstrake::content::ContentError;
use lapstrake::difference::Side;
use lapstrake::place::{Artifact, Place};
use lapstrake::report::Reporter;
use lapstrake::store::BlobStore;
use lapstrake::tree::{NodeKind, TreePath, nearest_path};

use super::file_json;
use super::text::file_line;
use crate::cli::comparison::unread;
use crate::cli::exit::{Code, Failure, OrFail, Outcome};
use crate::cli::standard_output;

/// Prints the bytes of the file at that path, symlinks followed inside the image; of a directory, a line for each member.
pub(super) fn print(
    path: &str,
    artifacts: &[Artifact],
    source: &str,
    place: &Place,
    store: &BlobStore,
    reporter: &Reporter,
) -> Outcome {
    let images: Vec<_> = artifacts
        .iter()
        .flat_map(|artifact| artifact.images().into_iter().map(move |image| (artifact, image)))
        .collect();
    let [(artifact, image)] = images[..] else {
        let platforms: Vec<String> =
            images.iter().filter_map(|(_, image)| image.platform().map(|platform| platform.to_string())).collect();
        return Err(match artifacts {
            [_] if platforms.len() == images.len() && !platforms.is_empty() => {
                Failure::usage(format!("{source} is for {} platforms, and --cat is for one", images.len()))
                    .hint(format!("add --platform {}", platforms.join(", or --platform ")))
            }
            _ => Failure::usage(format!("{source} holds {} images, and --cat is for one", images.len()))
                .hint("say which with --image, and with --platform where it is for several"),
        });
    };
    let Some(side) = Side::of(image, artifact.source().clone()) else {
        return Err(Failure::told(Code::Failed, ErrorCode::NotInImage, format!("{source} is no image that has files")));
    };
    let asked = TreePath::parse(path).or_fail(Code::Usage)?;
    let contents = side.contents(store, reporter).map_err(|error| unread(error, [place]))?;
    let rootfs = contents.rootfs();
    let path = rootfs.resolve(&asked).or_fail(Code::Failed)?;
    let node = rootfs.get(&path);
    if rootfs.is_directory(&path) {
        let line = |(path, node)| file_line(&file_json(&contents, path, node));
        return crate::cli::print(&rootfs.children(&path).map(line).collect::<String>());
    }
    let Some(node) = node else {
        let failure = Failure::told(Code::Failed, ErrorCode::NotInImage, format!("there is no {asked} in {source}"));
        return Err(match nearest_path(rootfs, &asked) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure,
        });
    };
    let NodeKind::File(located) = &node.kind else {
        return Err(Failure::told(
            Code::Failed,
            ErrorCode::NotInImage,
            format!("{asked} in {source} is a device, FIFO or socket, and has no bytes"),
        ));
    };
    let Some(content) = contents.content(located, store).map_err(|error| unread(error, [place]))? else {
        return Err(Failure::told(
            Code::Failed,
            ErrorCode::NotInImage,
            format!("the bytes of {asked} in {source} are not to be had"),
        ));
    };
    let mut bytes = content.open().map_err(|error: ContentError| Failure::new(Code::Failed, error))?;
    let mut out = standard_output();
    io::copy(&mut bytes, &mut out).and_then(|_| io::Write::flush(&mut out)).map_err(|error| {
        Failure::told(Code::Failed, ErrorCode::OutputUnwritable, format!("writing {asked} to standard output: {error}"))
    })
}
