//! The sections that debhelper adds to scripts and that do something by themselves, known by their text to the letter.
//! All others are judged by what they call, like the rest of a script.

use std::ops::RangeInclusive;

use super::amounts::Amounts::{self, LeftOut};
use super::amounts::{APPARMOR, LOCAL};
use crate::debian::shell::Script;

const BEGIN: &str = " Automatically added by ";
const END: &str = " End automatically added section";

/// What stands for a name, path or number in the lines below.
const ANY: &str = "@";

/// Tools, the lines of their sections as debhelper has them, and what they amount to.
const SHAPES: &[(&str, &str, Amounts)] =
    &[("dh_apparmor", APPARMOR_PROFILE, LeftOut(APPARMOR)), ("dh_usrlocal", USR_LOCAL, LeftOut(LOCAL))];

const APPARMOR_PROFILE: &str = r#"if [ "$1" = "configure" ]; then
    APP_PROFILE="/etc/apparmor.d/@"
    if [ -f "$APP_PROFILE" ]; then
        # Add the local/ include
        LOCAL_APP_PROFILE="/etc/apparmor.d/local/@"

        test -e "$LOCAL_APP_PROFILE" || {
            mkdir -p `dirname "$LOCAL_APP_PROFILE"`
            install --mode 644 /dev/null "$LOCAL_APP_PROFILE"
        }

        # Reload the profile, including any abstraction updates
        if aa-enabled --quiet 2>/dev/null; then
            apparmor_parser -r -T -W "$APP_PROFILE" || true
        fi
    fi
fi"#;

/// Its last line but two stands for any number of directories.
const USR_LOCAL: &str = r#"if [ "$1" = "configure" ] || [ "$1" = "abort-upgrade" ] || [ "$1" = "abort-deconfigure" ] || [ "$1" = "abort-remove" ]; then
(
	default_mode=0755
	default_user=root
	default_group=root
	if [ -e /etc/staff-group-for-usr-local ]; then
		default_mode=02775
		default_group=staff
	fi
	while read line; do
		set -- $line
		dir="$1"; mode="$2"; user="$3"; group="$4"
		if [ "$mode" = "default" ]; then
			mode="$default_mode"
			user="$default_user"
			group="$default_group"
		fi
		if [ ! -e "$dir" ]; then
			if mkdir "$dir" 2>/dev/null; then
				if chown "$user":"$group" "$dir" ; then
					chmod "$mode" "$dir" || true
				fi
			fi
		fi
	done
) << DATA
/usr/local/@ default
DATA
fi"#;

/// The sections of a script that are debhelper's: their lines, and what they amount to.
pub(super) fn sections(text: &str, script: &Script) -> Vec<(RangeInclusive<usize>, Amounts)> {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut found = Vec::new();
    let mut comments = script.comments.iter().peekable();
    while let Some((begin, comment)) = comments.next() {
        let Some(tool) = comment.strip_prefix(BEGIN) else { continue };
        let tool = tool.split('/').next().unwrap_or_default();
        // The next mark must be its end: sections do not stand in each other.
        while comments.next_if(|(_, comment)| !comment.starts_with(BEGIN) && comment != END).is_some() {}
        let Some((end, _)) = comments.next_if(|(_, comment)| comment == END) else { continue };
        let body = lines.get(begin + 1..*end).unwrap_or_default();
        if let Some((_, _, amounts)) = SHAPES.iter().find(|(name, shape, _)| *name == tool && fits(shape, body)) {
            found.push((*begin..=*end, *amounts));
        }
    }
    found
}

fn fits(shape: &str, lines: &[&str]) -> bool {
    let mut lines = lines.iter().peekable();
    for line in shape.lines() {
        if !lines.next().is_some_and(|found| fits_line(line, found)) {
            return false;
        }
        // A line that is a name throughout may come again.
        while line.starts_with("/usr/local/") && lines.next_if(|found| fits_line(line, found)).is_some() {}
    }
    lines.next().is_none()
}

/// Whether a line is that of a shape, with a plain name in the place of each sign.
fn fits_line(shape: &str, line: &str) -> bool {
    let mut pieces = shape.split(ANY);
    let Some(mut rest) = pieces.next().and_then(|first| line.strip_prefix(first)) else { return false };
    for piece in pieces {
        let name = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-._/:@%".contains(byte)).count();
        // The shortest name that the next piece follows.
        let Some(at) = (1..=name).find(|at| match piece.is_empty() {
            true => *at == rest.len(),
            false => rest[*at..].starts_with(piece),
        }) else {
            return false;
        };
        if rest[..at].contains("..") {
            return false;
        }
        rest = &rest[at + piece.len()..];
    }
    rest.is_empty()
}
