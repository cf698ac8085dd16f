use super::super::deb::tests::{TestTar, package};
use super::amounts::{APPARMOR, SERVICES};
use super::*;

fn judged(name: &str, script: &str) -> Judgement {
    judge(&package(name, &[("postinst", script)], TestTar::default()), Origin::Debian)
}

/// `whiptail` needs it.
#[test]
fn palettes_of_newt_are_none_on_a_fresh_install() {
    let script = "#!/bin/sh\nset -e\nrm -f /etc/newt/palette*\n\
                  update-alternatives --quiet --remove-all newt-palette >/dev/null 2>&1 || true\nexit 0\n";
    let judge = |origin| judge(&package("libnewt0.52", &[("preinst", script)], TestTar::default()), origin);
    assert!(judge(Origin::Debian).is_known() && !judge(Origin::Elsewhere).is_known());
}

#[test]
fn debhelpers_parts_are_judged_by_what_they_call() {
    let script = "#!/bin/sh\nset -e\n\ncase \"$1\" in\n    configure|reconfigure)\n    ;;\n    *)\n        echo \"unknown\" >&2\n        exit 1\n    ;;\nesac\n\
                  # Automatically added by dh_installsystemd/13.24\nif [ \"$1\" = configure ]; then\n\tdeb-systemd-helper enable x\nfi\n# End automatically added section\n\
                  # Automatically added by dh_makeshlibs/13.24\nldconfig\n# End automatically added section\nexit 0\n";
    let judgement = judged("x", script);
    assert!(judgement.is_known(), "{judgement}");
    assert!(judgement.left_out.contains(SERVICES) && judgement.native.contains("ld.so.cache"));
    // A mark alone says nothing: what stands behind it does.
    for mark in ["dh_installsystemd/13.24", "dh_apparmor/3.0", "dh_installinit"] {
        for end in ["# End automatically added section\n", ""] {
            let script = format!("#!/bin/sh\n# Automatically added by {mark}\nmkdir /x\n{end}");
            assert_eq!(judged("x", &script).to_string(), "postinst of x calls mkdir", "{script}");
        }
    }
}

const PROFILE: &str = "# Automatically added by dh_apparmor/3.0.7-1\nif [ \"$1\" = \"configure\" ]; then
    APP_PROFILE=\"/etc/apparmor.d/usr.bin.x\"
    if [ -f \"$APP_PROFILE\" ]; then
        # Add the local/ include
        LOCAL_APP_PROFILE=\"/etc/apparmor.d/local/usr.bin.x\"

        test -e \"$LOCAL_APP_PROFILE\" || {
            mkdir -p `dirname \"$LOCAL_APP_PROFILE\"`
            install --mode 644 /dev/null \"$LOCAL_APP_PROFILE\"
        }

        # Reload the profile, including any abstraction updates
        if aa-enabled --quiet 2>/dev/null; then
            apparmor_parser -r -T -W \"$APP_PROFILE\" || true
        fi
    fi
fi
# End automatically added section
";

#[test]
fn sections_that_do_something_are_known_to_the_letter() {
    let judgement = judged("x", &format!("#!/bin/sh\n{PROFILE}"));
    assert!(judgement.is_known() && judgement.left_out.contains(APPARMOR), "{judgement}");
    for (from, to) in [
        ("mkdir -p", "mkdir -m 777 -p"),
        ("/local/usr.bin.x", "/local/../../passwd"),
        ("/local/usr.bin.x", "/local/$(mkdir x)"),
        ("dh_apparmor", "dh_installsystemd"),
        ("# End automatically added section\n", ""),
        ("        # Add the local/ include\n", "        touch /etc/x\n"),
    ] {
        assert!(!judged("x", &format!("#!/bin/sh\n{}", PROFILE.replacen(from, to, 1))).is_known(), "{to}");
    }
    // What only looks like a section, inside a text, is none.
    let inside = format!("#!/bin/sh\ncat <<'EOF' | sh\n{PROFILE}EOF\n");
    assert_eq!(judged("x", &inside).to_string(), "postinst of x calls sh");
    let quoted = format!("#!/bin/sh\necho '\n# Automatically added by dh_apparmor/3'\nmkdir /x\n{PROFILE}");
    assert_eq!(judged("x", &quoted).to_string(), "postinst of x calls mkdir");
}

#[test]
fn what_leaves_a_trace_is_reported() {
    for (script, calls) in [
        ("mkdir -p /var/x", "mkdir"),
        ("if true; then cp a b; fi", "cp"),
        ("echo x > /etc/x", "> /etc/x"),
        ("echo x >>\"/etc/$x\"", "> /etc/…"),
        ("echo x >| /etc/x", "> /etc/x"),
        ("echo x &> /etc/x", "> /etc/x"),
        (": <> /etc/x", "> /etc/x"),
        ("exec 3>/etc/x", "> /etc/x"),
        ("{ echo x; } > /etc/x", "> /etc/x"),
        ("while read x; do echo $x; done < /x > /etc/x", "> /etc/x"),
        ("cat <<EOF > /etc/x\ntext\nEOF", "> /etc/x"),
        ("cat <<EOF\n$(touch /x)\nEOF", "touch"),
        ("/usr/lib/x/setup --all", "setup"),
        ("/usr/lib/x/echo", "echo"),
        ("x=$(tool)", "tool"),
        ("x=`tool`", "tool"),
        ("echo \"`tool`\"", "tool"),
        ("echo ${x:-$(tool)}", "tool"),
        ("case $(tool) in *) ;; esac", "tool"),
        ("for i in $(tool); do :; done", "tool"),
        ("f() { chown a b; }\nf", "chown"),
        ("echo() { chown a b; }\necho", "chown"),
        ("mkdir /x\nmkdir() { :; }", "mkdir"),
        ("update-alternatives --install /usr/bin/$x $x /usr/bin/y 1", "update-alternatives with what it computes"),
        ("update-alternatives --set x /usr/bin/y", "update-alternatives --set x /usr/bin/y"),
        ("adduser --system $x", "adduser with what it computes"),
        (". /usr/lib/other", ". /usr/lib/other"),
        ("source /etc/default/x", "source"),
        ("find /etc -name x -delete", "find /etc -name x -delete"),
        ("find /etc -exec chmod 777 {} +", "find /etc -exec chmod 777 {} +"),
        ("find /etc -fprint /etc/x", "find /etc -fprint /etc/x"),
        ("find /etc $x", "find /etc …"),
        ("ls | xargs rm", "xargs rm"),
        ("ls | xargs", ""),
        ("sed -i s/a/b/ /etc/x", "sed -i s/a/b/ /etc/x"),
        ("sed -ni p /etc/x", "sed -ni p /etc/x"),
        ("sed 's/a/b/w /etc/x' y", "sed s/a/b/w /etc/x y"),
        ("sed '1e touch x' y", "sed 1e touch x y"),
        ("sed -f x y", "sed -f x y"),
        ("awk '{ print > \"/etc/x\" }' y", "awk { print > \"/etc/x\" } y"),
        ("awk 'BEGIN { system(\"x\") }'", "awk BEGIN { system(\"x\") }"),
        ("echo x | tee /etc/x", "tee"),
        ("command mkdir /x", "mkdir"),
        ("exec mkdir /x", "mkdir"),
        ("command -p mkdir /x", "command"),
        ("eval 'mkdir /x'", "mkdir"),
        ("eval \"$x\"", "eval"),
        ("trap 'mkdir /x' EXIT", "mkdir"),
        ("trap f EXIT\nf() { :; }", "f"),
        ("f() { :; }\ntrap f EXIT\nf() { mkdir /x; }", "mkdir"),
        ("$x", "what it computes"),
        ("alias echo=mkdir", "alias"),
        ("PATH=/usr/lib/x:$PATH\necho x", "PATH="),
        ("LD_PRELOAD=/x cat /y", "LD_PRELOAD="),
        ("sort -o /etc/x y", "sort"),
        ("uniq x /etc/y", "uniq"),
        ("dpkg -i x --print-architecture", "dpkg -i x --print-architecture"),
        ("dpkg-maintscript-helper rm_conffile /x 1 -- upgrade 0", "dpkg-maintscript-helper"),
        ("db_set x y", "db_set"),
        ("[ -x /x ] && mkdir /x", "mkdir"),
        ("test -z \"$2\" && mkdir /x", "mkdir"),
        ("[ \"$1\" = upgrade ] || mkdir /x", "mkdir"),
        ("case \"$1\" in conf*) mkdir /x;; esac", "mkdir"),
        ("rm -rf /etc/$x", "rm -rf /etc/…"),
        ("rm /etc/*", "rm /etc/…"),
        ("rm -f relative", "rm -f relative"),
        ("rm -f /run/../etc/x", "rm -f /run/../etc/x"),
        ("while :; do x=y; [ \"$x\" ] && break; x=z; done; adduser --system $x", "adduser with what it computes"),
        ("diff <(mkdir /x) y", "what cannot be read (line 2: a redirection that only bash has)"),
        ("f() {", "what cannot be read (line 3: something has no end)"),
    ] {
        let judgement = judged("x", &format!("#!/bin/bash\n{script}\n"));
        let expected = if calls.is_empty() { String::new() } else { format!("postinst of x calls {calls}") };
        assert_eq!(judgement.to_string(), expected, "{script}");
    }
    for first in ["#!/usr/bin/perl", "#!/usr/bin/env sh", "#!/usr/lib/x/sh", "#!/bin/sh -c x", "exit"] {
        assert!(!judged("x", &format!("{first}\nexit 0\n")).is_known(), "{first}");
    }
}

#[test]
fn what_leaves_none_on_a_fresh_install_is_known() {
    for fine in [
        "update-alternatives --install /usr/bin/x x /usr/bin/y 1",
        "for i in a b; do update-alternatives --install /usr/bin/$i $i /usr/bin/x$i 1; done",
        "ldconfig >/dev/null 2>&1 || true",
        "[ \"$1\" = upgrade ] && mkdir /x",
        "if [ \"$1\" = configure ] && [ -n \"$2\" ]; then mkdir /x; fi",
        "if dpkg --compare-versions \"$2\" lt-nl 1.2; then mkdir /x; fi",
        "case \"$1\" in upgrade|abort-*) mkdir /x;; configure) ;; *) mkdir /y;; esac",
        "unused() { mkdir /x; }",
        "dpkg-maintscript-helper rm_conffile /etc/x 1.0 -- \"$@\"",
        ". /usr/share/debconf/confmodule\ndb_get x/y\necho $RET",
        "dpkg-query -L x | sed -ne 's,^/usr/lib/,,p' -e '/x/d' | awk -F: '{ print $1 }' | sort -u | xargs -r echo",
        "rm -f /run/x.pid /var/cache/x/*",
        "cat <<EOF >&2\nwords\nEOF",
    ] {
        let judgement = judged("x", &format!("#!/bin/sh\nset -e\n{fine}\n"));
        assert!(judgement.is_known(), "{fine}: {judgement}");
    }
    // What is done when triggered is done, too, where the package is interested in a trigger.
    let script = "#!/bin/sh\nif [ \"$1\" = triggered ]; then mkdir /x; fi\n";
    assert!(judged("x", script).is_known());
    let interested =
        package("x", &[("postinst", script), ("triggers", "interest-noawait /usr/share/y\n")], TestTar::default());
    assert!(!judge(&interested, Origin::Debian).is_known());
    // What somebody has read is known, whatever it calls.
    assert!(judged("base-files", "#!/bin/sh\nmkdir /x\n").is_known());
    assert!(judged("python3.13-minimal", "#!/bin/sh\nmkdir /x\n").native.contains("Python's directories"));
    for name in ["python3.99", "libnss-evil", "base-files-evil"] {
        assert!(!judged(name, "#!/bin/sh\nmkdir /x\n").is_known(), "{name}");
    }
}

/// Statuses and values that only look as if they were known, and so could hide what comes after them.
#[test]
fn what_only_looks_known_hides_nothing() {
    for script in [
        "#!/bin/sh\n[ a == a ] || touch /x\n",
        "#!/bin/sh\ntrue </nonexistent || touch /x\n",
        "#!/bin/sh\nPWD=/x; cd /tmp; [ \"$PWD\" = /x ] || touch /x\n",
        "#!/bin/bash\nRANDOM=5; [ \"$RANDOM\" = 5 ] || touch /x\n",
        "#!/bin/bash\nreadonly A=a; declare A=b || true; [ \"$A\" = b ] || touch /x\n",
        "#!/bin/bash\ndeclare -u x=abc; [ \"$x\" = abc ] || touch /x\n",
        "#!/bin/sh\ntrue \r#; touch /x\n",
        "#!/bin/sh\nPS4='$(touch /x)'; set -x; true\n",
        "#!/bin/bash\nhash -p /usr/bin/tee cat; echo evil | cat /x\n",
        "#!/bin/sh\nseq 1 3 | sort --compress-program=/x\n",
    ] {
        let judgement = judged("a", script);
        assert!(!judgement.is_known(), "{script}");
    }
}

#[test]
fn what_is_removed_is_what_no_package_has() {
    let script = "#!/bin/sh\nrm -f /etc/x /lib/y\nrm -rf /usr/share/z\nrm -f /etc/w/v/u/*.bin\n";
    let remover = || package("a", &[("postinst", script), ("preinst", script)], TestTar::default());
    let known = |sums: &str, conffiles: &str| {
        let other = package("b", &[("md5sums", sums), ("conffiles", conffiles)], TestTar::default());
        judge_all(&[remover(), other], &["a", "b"].map(str::to_owned).into()).remove(0)
    };
    let sum = |path: &str| format!("{}  {path}\n", "0".repeat(32));
    let fine = known(&sum("usr/share/zz"), "/etc/xx\n");
    assert!(fine.is_known(), "{fine}");
    assert_eq!(fine.removed.len(), 8);
    for (sums, conffiles) in [
        (sum("etc/x"), ""),
        (sum("etc/w/v/u/any"), ""),
        (sum("usr/lib/y"), ""),
        (sum("usr/share/z/deep/er"), ""),
        (String::new(), "/etc/x\n"),
    ] {
        let judgement = known(&sums, conffiles);
        assert!(judgement.to_string().contains(", which b has"), "{sums}{conffiles}: {judgement}");
    }
}
