//! Scripts that make `/etc/x`, and look as if they did not.

use super::super::deb::tests::{TestTar, package};
use super::*;

/// Read by dash.
const SH: &[&str] = &[
    // Expansions.
    "x='$(touch /etc/x)'; echo ${x@P}",
    "set -- 'a[$(touch /etc/x)]'; echo $(($1))",
    "x='a[$(touch /etc/x)]'; echo ${y:x}",
    "x='a[$(touch /etc/x)]'; echo ${!x}",
    "x='a[$(touch /etc/x)]'; echo $[x]",
    "echo \"$\\\n(touch /etc/x)\"",
    "cat <<EOF\n$\\\n(touch /etc/x)\nEOF",
    "echo $(\\\n(touch /etc/x))",
    "echo ${x:-`touch /etc/x`}",
    "echo \"${x#$(touch /etc/x)}\"",
    "echo ${#x[$(touch /etc/x)]}",
    "$x /etc/x",
    "$(echo touch) /etc/x",
    "x=~; [ \"$x\" = \"~\" ] || touch /etc/x",
    "export x=~; [ \"$x\" = \"~\" ] || touch /etc/x",
    "IFS=x; set -- a b; [ \"$*\" = \"a b\" ] || touch /etc/x",
    // What ends where.
    "if false; then :; e\\\nlse touch /etc/x; fi",
    "if false; then :; f\\\ni; touch /etc/x; if :; then :; fi",
    "cat <<EOF\nfoo\\\nEOF\n: '\nEOF\ntouch /etc/x\n: '\n",
    "[[ x || touch /etc/x ]]",
    "case x in (y) ;; es\\\nac) touch /etc/x;; esac",
    "true \u{a0}; touch /etc/x",
    "ech\u{0}o; touc\u{0}h /etc/x",
    "echo a &> /etc/x",
    // What is known of success.
    "x=1 < /nonexistent || touch /etc/x",
    "{ true; } < /nonexistent || touch /etc/x",
    "true >&9 || touch /etc/x",
    "if false & then touch /etc/x; fi",
    "readonly A; unset A || touch /etc/x",
    "trap : NOSIGNAL || touch /etc/x",
    "declare x=y; [ \"$x\" = y ] || touch /etc/x",
    "x=a; declare x=b; [ \"$x\" = a ] && touch /etc/x",
    "getopts a x -a; [ \"$OPTIND\" = 1 ] || touch /etc/x",
    // What is called.
    "echo() { touch /etc/x; }; unset echo; echo",
    "echo() { touch /etc/x; }; echo=1; unset echo; echo",
    "eval() { :; }; eval 'touch /etc/x'",
    "eval '\n\n\n\n\n\n\n\ntouch /etc/x'",
    "trap 'touch /etc/x' 0",
    "set -a; GETCONF_DIR=/usr/lib/a; getconf -v evil PATH_MAX",
    "GETCONF_DIR=/usr/lib/a getconf -v evil PATH_MAX",
    "export GETCONF_DIR=/usr/lib/a",
    "getconf -v ../../../usr/lib/a/evil PATH_MAX",
    "getent -s evil passwd",
    "TMPDIR=/etc sort x",
    "export EVIL=1",
    "set $x",
    "set -k; cat LD_PRELOAD=/usr/lib/a/x.so",
    "unset PATH",
    "PATH=.:$PATH; cat x",
    "read \"$x\"",
    "find /$x",
    "find /etc $x",
    "find / -exec touch /etc/x ;",
    "find / -name a -fprintf /etc/x b",
    "awk -v $x 'BEGIN { }'",
    "awk -F $x 'BEGIN { }'",
    "awk -f /usr/lib/a/x",
    "awk 'BEGIN { print \"x\" | \"sh\" }'",
    "awk \"$x\" y",
    "sed \"$x\" y",
    "sort -$x",
    "sort --files0-from=x --$x",
    "uniq -- - -x",
    "hostname --fi=/etc/x",
    "dpkg -s \"$x\"",
    "dpkg -s --status-logger='touch /etc/x' a",
    "dpkg-divert --package --list --rename /bin/cat",
    "dpkg-divert --list --add /bin/cat",
    "dpkg-divert $x --list",
    "dpkg-statoverride --update --add root root 4755 /bin/cat --list",
    "dpkg-trigger --admindir=/etc x",
    "xargs getconf",
    "xargs touch",
    "rm -rf /run/$x",
    "rm -rf /run/${x%y}",
    "rm -rf /run/a*/../../etc/x",
    "rm -rf /run/.?/etc/x",
    "rm -rf /run/*$x",
    "rm -rf /etc/a/b/*/../../../x",
    "rm -f /etc/$(echo x)",
    "rmdir -p /etc/x/y/z",
    ". /usr/share/debconf/confmodule; _db_x=a; db_get x; [ \"$_db_x\" = a ] || touch /etc/x",
    ". /usr/share/debconf/confmodule; db_evil x",
    "start-stop-daemon --start --exec /usr/bin/touch -- /etc/x",
];

/// Read by bash.
const BASH: &[&str] = &[
    "printf '-va[$(touch /etc/x)]' y",
    "printf -v 'a[$(touch /etc/x)]' y",
    "printf $x y",
    "wait -p 'a[$(touch /etc/x)]'",
    "wait $x",
    "test -v 'a[$(touch /etc/x)]'",
    "[ -v 'a[$(touch /etc/x)]' ]",
    "x=$(cat /y); [ $x ]",
    "[ \"$x\" \"$y\" ]",
    "[[ -v $x ]]",
    "[[ x -eq 'a[$(touch /etc/x)]' ]]",
    "[[ $x -eq 1 ]]",
    "read -a 'a[$(touch /etc/x)]'",
    "read -ra'a[$(touch /etc/x)]'",
    "read 'a[$(touch /etc/x)]'",
    "unset 'a[$(touch /etc/x)]'",
    "declare 'a[$(touch /etc/x)]=1'",
    "declare -n x='a[$(touch /etc/x)]'",
    "declare -i x='a[$(touch /etc/x)]'",
    "declare -x LD_PRELOAD=/usr/lib/a/x.so",
    "local -i x",
    "export -f cat",
    "getopts a 'a[$(touch /etc/x)]'",
    "a[$(touch /etc/x)]=1",
    "echo ${a[$(touch /etc/x)]}",
    "x='a[$(touch /etc/x)]'; echo ${y:x:1}",
    "x='a[$(touch /etc/x)]'; echo {$x}</dev/null",
    "exec {a[\\$(touch /etc/x)]}</dev/null",
    "mapfile -C 'touch /etc/x' -c 1",
    "shopt -s expand_aliases; alias echo='touch /etc/x'",
    "enable -f /usr/lib/a/x.so x",
    "coproc touch /etc/x",
    "time touch /etc/x",
    "let 'a[$(touch /etc/x)]'",
    "(( a[$(touch /etc/x)] ))",
    "command . /usr/lib/a/x",
    "builtin source /usr/lib/a/x",
    "exec -a cat touch /etc/x",
    "set -o pipefail; false | true || touch /etc/x",
    "UID=5; [ \"$UID\" = 5 ] || touch /etc/x",
    "BASH_ENV=/usr/lib/a/x",
    "$'touch' /etc/x",
    "rm -rf /run/{x,../etc/x}",
    "rm -rf /etc/a/b/{x,../../x}",
    "function echo { touch /etc/x; }; echo",
    "trap 'touch /etc/x' DEBUG",
];

fn unknown(first: &str, script: &str) {
    let judgement = judge_all(
        &[package("a", &[("postinst", &format!("{first}\nset -e\n{script}\n"))], TestTar::default())],
        &["a".to_owned()].into(),
    );
    assert!(!judgement[0].is_known(), "{first} {script:?}");
}

#[test]
fn what_deceives_is_not_known() {
    SH.iter().for_each(|script| unknown("#!/bin/sh", script));
    BASH.iter().for_each(|script| unknown("#!/bin/bash", script));
    // What shells share is refused in either.
    SH.iter().filter(|script| !script.contains("declare") && !script.contains("[[")).for_each(|script| {
        unknown("#!/bin/dash", script);
    });
    for first in [
        "#!/bin/sh -e -x",
        "#!/bin/sh -c :",
        "#!/bin/sh -s",
        "#!/bin/busybox sh",
        "#!/usr/bin/env sh",
        "#!/bin/sh\u{a0}",
    ] {
        unknown(first, ":");
    }
}

/// A section that is known to the letter hides nothing that is run elsewhere and numbered like its lines.
#[test]
fn lines_of_other_texts_are_not_the_scripts() {
    let section =
        "# Automatically added by dh_usrlocal/13\n@# End automatically added section\n".replace('@', USR_LOCAL);
    let lines = "\n".repeat(8);
    for (before, after) in [
        (String::new(), String::new()),
        (format!("eval '{lines}touch /etc/x'\n"), String::new()),
        (format!("trap '{lines}touch /etc/x' 0\n"), String::new()),
        (format!("f() {{ eval '{lines}touch /etc/x'; }}\nf\n"), String::new()),
        (format!("cat <<EOF\n$(\n{lines}touch /etc/x\n)\nEOF\n"), String::new()),
        (String::new(), format!("eval '{lines}touch /etc/x'\n")),
    ] {
        let script = format!("#!/bin/sh\n{before}{section}{after}");
        let judgement = judge(&package("a", &[("postinst", &script)], TestTar::default()), Origin::Debian);
        assert_eq!(judgement.is_known(), before.is_empty() && after.is_empty(), "{before:?} {after:?}: {judgement}");
    }
}

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
/usr/local/a default
DATA
fi
"#;

#[test]
fn names_tell_something_in_debians_own_archives_alone() {
    let script = "#!/bin/sh\ntouch /etc/x\n";
    for name in ["base-files", "redis-tools", "python3.13-minimal"] {
        let package = package(name, &[("postinst", script)], TestTar::default());
        assert!(judge(&package, Origin::Debian).is_known(), "{name}");
        assert_eq!(judge(&package, Origin::Elsewhere).to_string(), format!("postinst of {name} calls touch"));
    }
}

#[test]
fn programs_are_the_usual_ones() {
    let caller = || package("a", &[("postinst", "#!/bin/sh\ncat /y | grep x\n")], TestTar::default());
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    for path in ["usr/sbin/cat", "bin/grep", "usr/local/bin/cat", "usr/local/sbin/grep"] {
        let sums = format!("{}  {path}\n", "0".repeat(32));
        let other = || package("b", &[("md5sums", &*sums)], TestTar::default());
        assert!(judge_all(&[caller(), other()], &own(&["a", "b"]))[0].is_known(), "{path}");
        let judged = judge_all(&[caller(), other()], &own(&["a"])).remove(0);
        assert!(judged.to_string().contains(", which b has"), "{path}: {judged}");
    }
}

#[test]
fn what_debconf_runs_is_a_script() {
    let scripts = [("config", "#!/bin/sh\ntouch /etc/x\n")];
    let judgement = judge(&package("a", &scripts, TestTar::default()), Origin::Debian);
    assert_eq!(judgement.to_string(), "config of a calls touch");
}
