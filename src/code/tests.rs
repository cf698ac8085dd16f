use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;

#[test]
fn every_page_has_all_its_parts() {
    let mut titles = BTreeSet::new();
    for code in ErrorCode::ALL {
        let page = code.page();
        for part in [page.title, page.meaning, page.why, page.remedy, page.example] {
            assert!(part.len() >= 10 && part.trim() == part, "{code}: {part:?}");
            assert!(part == page.example || !part.contains("  "), "{code}: {part:?}");
        }
        assert!(!page.title.ends_with('.'), "{code}: a title is a fragment");
        for sentence in [page.meaning, page.why, page.remedy] {
            assert!(sentence.ends_with('.'), "{code}: {sentence:?}");
        }
        assert!(titles.insert(page.title), "two codes are about {:?}", page.title);
    }
}

#[test]
fn numbers_are_unique_in_order_and_read_back() {
    assert!(ErrorCode::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
    for &code in ErrorCode::ALL {
        assert_eq!(code.to_string().parse(), Ok(code));
        assert_eq!(code.to_string().to_lowercase().parse(), Ok(code));
        assert_eq!(format!("L{}", code.number()).parse(), Ok(code));
    }
    for (text, near) in
        [("L0399", true), ("L031", false), ("L9999", false), ("build", false), ("L", false), ("L-1", false)]
    {
        let error = text.parse::<ErrorCode>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("there is no error code `{text}`")), "{error}");
        assert!(!near || error.contains("did you mean `L03"), "{error}");
    }
}

/// All sources below a directory, as one text.
fn sources(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn no_code_is_unused() {
    let mut text = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
    let unused: Vec<_> = ErrorCode::ALL
        .iter()
        .filter(|code| {
            let name = format!("ErrorCode::{}", code.identifier());
            !text
                .match_indices(&name)
                .any(|(at, _)| !text[at + name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        })
        .collect();
    assert!(unused.is_empty(), "nothing has the codes {unused:?}");
}

#[test]
fn the_documentation_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let made = markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == made, "docs/errors.md is not what the pages say: UPDATE_DOCS=1 cargo test --lib code::tests");
}

#[test]
fn an_error_that_carries_another_has_its_code() {
    use crate::content::ContentError;
    use crate::shown::Shown;
    use std::io;

    let changed = ContentError::Changed { path: Shown::new(b"a"), how: "its length" };
    let carried = io::Error::other(io::Error::other(changed));
    assert_eq!(Cause::from(crate::tar::WriteError::Output(carried)).code(), ErrorCode::Changed);
    let full = io::Error::from(io::ErrorKind::StorageFull);
    let error = crate::context::WalkError::List { path: Shown::new(b"a"), source: full };
    assert_eq!(error.code(), ErrorCode::DiskFull);
    let boxed = Box::new(crate::registry::RegistryError::Net(crate::net::NetError::Cancelled));
    assert_eq!(Cause::from(boxed).code(), ErrorCode::Interrupted);
    let cause = Cause::told(ErrorCode::Offline, "no network");
    assert_eq!((cause.to_string(), cause.source().is_none()), ("no network".to_owned(), true));
    assert_eq!(io::Error::from(io::ErrorKind::PermissionDenied).code(), ErrorCode::NoPermission);
}
