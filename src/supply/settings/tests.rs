use std::os::unix::fs::PermissionsExt;

use super::apt::{DEBIAN_MIRROR, DEBIAN_SNAPSHOT};
use super::indexes::PYTHON_INDEX;
use super::uv::UV;
use super::*;

/// A machine with these files and variables.
fn machine(files: &[(&str, &str)], variables: &[(&str, &str)]) -> (tempfile::TempDir, Result<Settings, SettingsError>) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
    let settings = Settings::of_machine(variable, root.path());
    (root, settings)
}

fn settings(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Settings {
    machine(files, variables).1.unwrap()
}

fn debian(settings: &Settings) -> String {
    let list = |roots: &Vec<Url>| roots.iter().map(Url::as_str).collect::<Vec<_>>().join(",");
    settings.debian.iter().map(|(name, roots)| format!("{name}={}", list(roots))).collect::<Vec<_>>().join(" ")
}

/// The index, and behind it further ones.
fn python(settings: &Settings) -> String {
    let index = settings.python_index.as_ref().map_or("-", Url::as_str);
    let extra = settings.python_extra.iter().map(Url::as_str);
    std::iter::once(index).chain(extra).collect::<Vec<_>>().join(" ")
}

fn login(settings: &Settings, address: &str) -> String {
    let found = settings.credentials.find(&Url::parse(address).unwrap());
    found.map_or("-".to_owned(), |login| format!("{}:{}", login.user.expose(), login.password.expose()))
}

const APT: &[(&str, &str)] = &[
    ("etc/apt/sources.list", "deb http://example.com/first trixie main\ndeb cdrom:[x]/ trixie main\n"),
    (
        "etc/apt/sources.list.d/debian.sources",
        "Types: deb\nURIs: http://me:pass@example.com/debian http://example.org/debian/\nSuites: trixie trixie-updates\n\n\
         Types: deb\nURIs: http://example.com/debian-security\nSuites: trixie-security\n",
    ),
    ("etc/apt/sources.list.d/again.list", "deb http://example.com/debian/ trixie-backports main\n"),
    ("etc/apt/sources.list.d/off.list.disabled", "deb http://example.com/off trixie main\n"),
    ("etc/apt/sources.list.d/o ff.list", "deb http://example.com/off trixie main\n"),
    ("etc/apt/sources.list.d/mirrors.list", "deb mirror+file:/etc/apt/mirrors/debian.list trixie main\n"),
    ("etc/apt/mirrors/debian.list", "https://cloud.example.com/debian\tpriority:1\n"),
    ("etc/apt/auth.conf.d/x.conf", "machine example.org/debian login apt password secret"),
    ("etc/apt/auth.conf.d/x.conf~", "machine example.org login no password no"),
];

#[test]
fn debian_archives_are_where_apt_has_them() {
    let found = settings(APT, &[]);
    assert_eq!(
        debian(&found),
        "debian=http://example.com/debian/,http://example.org/debian/,https://cloud.example.com/debian/ \
         debian-security=http://example.com/debian-security/ first=http://example.com/first/"
    );
    assert_eq!(login(&found, "http://example.com/debian/pool/x"), "me:pass");
    assert_eq!(login(&found, "https://example.org/debian/pool/x"), "apt:secret");
    assert!(found.passed_over.is_empty(), "{:?}", found.passed_over);
    assert_eq!(debian(&settings(&[], &[])), "");
}

#[test]
fn the_variable_for_debian_is_stronger_than_apt() {
    let debian = |value| debian(&settings(APT, &[(DEBIAN_MIRROR, value)]));
    let first = "first=http://example.com/first/";
    assert_eq!(
        debian("https://example.net/mirror/debian"),
        format!(
            "debian=https://example.net/mirror/debian/ debian-security=https://example.net/mirror/debian-security/ {first}"
        )
    );
    assert_eq!(
        debian("first=https://example.net/1 debian-security=file:/srv/security"),
        "debian=http://example.com/debian/,http://example.org/debian/,https://cloud.example.com/debian/ \
         debian-security=file:///srv/security/ first=https://example.net/1/"
    );
    // What has no last part has no neighbour.
    assert_eq!(
        debian("https://example.net"),
        format!("debian=https://example.net/ debian-security=http://example.com/debian-security/ {first}")
    );
    for bad in ["hunter22", "ftp://hunter22/", "debian=", "a=https://x/ a=https://hunter22/", "=https://x/"] {
        let error = machine(&[], &[(DEBIAN_MIRROR, bad)]).1.unwrap_err();
        assert!(error.to_string().starts_with("LAPSTRAKE_DEBIAN_MIRROR "), "{error}");
        assert!(!error.to_string().contains("hunter22"), "{error}");
    }
}

#[test]
fn a_snapshot_is_a_template() {
    let template = "https://me:pass@example.com/archive/{archive}/{timestamp}/{path}";
    let found = settings(&[], &[(DEBIAN_SNAPSHOT, template)]);
    let shown = "https://example.com/archive/{archive}/{timestamp}/{path}";
    assert_eq!(found.debian_snapshot.as_deref(), Some(shown));
    assert_eq!(login(&found, "https://example.com/archive/debian/1/x"), "me:pass");
    for bad in
        ["https://example.com/{archive}/{path}", "{archive}/{timestamp}/{path}", "x://h/{archive}{timestamp}{path}"]
    {
        assert!(machine(&[], &[(DEBIAN_SNAPSHOT, bad)]).1.is_err(), "{bad}");
    }
}

const PIP: (&str, &str) = ("etc/pip.conf", "[global]\nindex-url = https://example.com/pip\n");
const UV_USER: (&str, &str) = (
    "home/me/.config/uv/uv.toml",
    "extra-index-url = [\"https://example.com/more\"]\n[[index]]\nname = \"my-own\"\nurl = \"https://example.com/own\"\n",
);
const UV_SYSTEM: (&str, &str) = ("etc/uv/uv.toml", "index-url = \"https://example.com/system/\"\n");
const HOME: (&str, &str) = ("HOME", "/home/me");

#[test]
fn indexes_are_ours_then_those_of_uv_then_those_of_pip() {
    let index = |files: &[(&str, &str)], variables: &[(&str, &str)]| python(&settings(files, variables));
    assert_eq!(index(&[], &[HOME]), "-");
    assert_eq!(index(&[PIP], &[HOME]), "https://example.com/pip/");
    let files = [PIP, UV_USER, UV_SYSTEM];
    assert_eq!(
        index(&files, &[HOME]),
        "https://example.com/system/ https://example.com/own/ https://example.com/more/"
    );
    // Where uv names no default, pip's settings are the ones that are whole.
    assert_eq!(index(&[PIP, UV_USER], &[HOME]), "https://example.com/pip/");
    assert_eq!(index(&[UV_USER], &[HOME]), "- https://example.com/own/ https://example.com/more/");
    assert_eq!(index(&files, &[HOME, ("UV_NO_CONFIG", "1")]), "https://example.com/pip/");
    assert_eq!(
        index(&files, &[HOME, (PYTHON_INDEX, "https://example.net/a https://example.net/b/#x")]),
        "https://example.net/b/ https://example.net/a/"
    );
    assert!(machine(&files, &[(PYTHON_INDEX, "hunter22")]).1.is_err());
}

#[test]
fn variables_of_uv_are_stronger_than_its_files() {
    let own = ("own.toml", "[[index]]\nurl = \"https://example.com/file\"\ndefault = true\n");
    let root = |variables: &[(&str, &str)]| {
        let all: Vec<_> = [&[HOME, ("UV_CONFIG_FILE", "/own.toml")], variables].concat();
        python(&settings(&[own, UV_USER, UV_SYSTEM], &all))
    };
    assert_eq!(root(&[]), "https://example.com/file/");
    assert_eq!(root(&[("UV_INDEX_URL", "https://example.net/url")]), "https://example.net/url/");
    assert_eq!(
        root(&[
            ("UV_DEFAULT_INDEX", "https://example.net/default"),
            ("UV_INDEX_URL", "https://example.net/url"),
            ("UV_INDEX", "company=https://example.net/1 https://example.net/default"),
            ("UV_EXTRA_INDEX_URL", "https://example.net/2"),
        ]),
        "https://example.net/default/ https://example.net/1/ https://example.net/2/"
    );
}

#[test]
fn files_of_pip_are_read_in_its_order() {
    let conf = |name: &str| format!("[global]\nindex-url = https://example.com/{name}\n");
    let texts: Vec<(&str, String)> = [
        ("etc/xdg/pip/pip.conf", "xdg"),
        ("etc/pip.conf", "system"),
        ("home/me/.pip/pip.conf", "legacy"),
        ("home/me/.config/pip/pip.conf", "user"),
        ("venv/pip.conf", "venv"),
        ("named.conf", "named"),
    ]
    .map(|(path, name)| (path, conf(name)))
    .into();
    let first = |count: usize, variables: &[(&str, &str)]| {
        let files: Vec<(&str, &str)> = texts.iter().take(count).map(|(path, text)| (*path, &**text)).collect();
        python(&settings(&files, variables))
    };
    let venv = ("VIRTUAL_ENV", "/venv");
    let named = ("PIP_CONFIG_FILE", "/named.conf");
    for (count, variables, wanted) in [
        (1, &[HOME][..], "https://example.com/xdg/"),
        (2, &[HOME], "https://example.com/system/"),
        (3, &[HOME], "https://example.com/legacy/"),
        (4, &[HOME], "https://example.com/user/"),
        (4, &[HOME, ("XDG_CONFIG_HOME", "/nowhere")], "https://example.com/legacy/"),
        (5, &[HOME, venv], "https://example.com/venv/"),
        (6, &[HOME, venv, named], "https://example.com/named/"),
        (6, &[HOME, ("PIP_CONFIG_FILE", "/dev/null")], "-"),
        (6, &[HOME, named, ("PIP_INDEX_URL", "https://example.net/")], "https://example.net/"),
        (
            1,
            &[("PIP_EXTRA_INDEX_URL", "https://example.net/ https://example.com/xdg")],
            "https://example.com/xdg/ https://example.net/",
        ),
    ] {
        assert_eq!(first(count, variables), wanted, "{count} {variables:?}");
    }
}

#[test]
fn logins_are_found_where_people_put_them() {
    let netrc = ("home/me/.netrc", "machine netrc.example.com login bob password net");
    let other = ("other", "machine netrc.example.com login ann password other");
    let found = settings(
        &[netrc, other, UV_USER],
        &[
            HOME,
            ("PIP_INDEX_URL", "https://pip:p%40ss@pip.example.com/simple"),
            ("UV_INDEX_MY_OWN_USERNAME", "uv"),
            ("UV_INDEX_MY_OWN_PASSWORD", "variable"),
        ],
    );
    assert_eq!(found.python_index.as_ref().unwrap().as_str(), "https://pip.example.com/simple/");
    for (address, wanted) in [
        ("https://pip.example.com/simple/six/", "pip:p@ss"),
        ("https://example.com/own/six/", "uv:variable"),
        ("https://netrc.example.com/x", "bob:net"),
        ("https://example.org/", "-"),
    ] {
        assert_eq!(login(&found, address), wanted, "{address}");
    }
    let shown = format!("{found:?}");
    assert!(!shown.contains("p@ss") && !shown.contains("p%40ss") && !shown.contains("variable"), "{shown}");
    let found = settings(&[netrc, other], &[HOME, ("NETRC", "/other")]);
    assert_eq!(login(&found, "https://netrc.example.com/x"), "ann:other");
}

#[test]
fn a_broken_file_of_another_program_is_told_and_passed_over() {
    let files = [
        ("home/me/.netrc", "machine a login b password hunter22 hunter22"),
        ("etc/apt/auth.conf.d/x.conf", "machine a password \"hunter22"),
        ("etc/apt/sources.list/directory", ""),
    ];
    let found = settings(&files, &[HOME]);
    let told = found.passed_over.join("\n");
    assert_eq!(found.passed_over.len(), 3, "{told}");
    for wanted in [
        "`/home/me/.netrc` is passed over: line 1 ",
        "x.conf` is passed over: line 1 ",
        "`/etc/apt/sources.list` is passed over: it is a directory",
    ] {
        assert!(told.contains(wanted), "{told}\n{wanted}");
    }
    assert!(!told.contains("hunter22"), "{told}");
}

/// Breaks where packages of a company are taken from a public index, since its own could not be read.
#[test]
fn what_might_name_an_index_is_understood_or_an_error() {
    const GOOD: &str = "https://example.com/good";
    let pip = |text: &'static str| ("etc/pip.conf", text);
    let uv = |text: &'static str| ("home/me/.config/uv/uv.toml", text);
    let no_address = "it names an index by what is no http, https or file address";
    let unusable = |files: &[(&str, &str)], variables: &[(&str, &str)]| {
        let found = settings(files, &[&[HOME], variables].concat());
        let told = format!("{:?} {:?}", found.unusable, found.passed_over);
        assert!(!told.contains("hunter22"), "{told}");
        (found.unusable.map(|found| format!("{}: {}", found.what, found.why)), found.passed_over)
    };
    for (files, variables, wanted) in [
        (&[pip("[global\n")][..], &[][..], "`/etc/pip.conf`: line 1 is neither".to_owned()),
        (&[pip("hunter22")], &[], "`/etc/pip.conf`: line 1 is neither".to_owned()),
        (&[pip("[global]\nindex-url = ssh://me:hunter22@x/\n")], &[], format!("`/etc/pip.conf`: {no_address}")),
        (&[pip("[install]\nextra-index-url = hunter22 x\n")], &[], format!("`/etc/pip.conf`: {no_address}")),
        (&[("etc/pip.conf/directory", "")], &[], "`/etc/pip.conf`: it is a directory".to_owned()),
        (&[], &[("PIP_INDEX_URL", "hunter22/simple")], format!("PIP_INDEX_URL: {no_address}")),
        (&[], &[("PIP_EXTRA_INDEX_URL", "hunter22")], format!("PIP_EXTRA_INDEX_URL: {no_address}")),
        (&[PIP], &[("PIP_CONFIG_FILE", "/lost")], "PIP_CONFIG_FILE: there is no file where it says".to_owned()),
        (&[pip("[global]\nindex-url = https://h/\n more = x")], &[], format!("`/etc/pip.conf`: {no_address}")),
        (&[PIP], &[("UV_CONFIG_FILE", "/lost")], "UV_CONFIG_FILE: there is no file where it says".to_owned()),
        (&[uv("\nindex-url = \"https://hunter22")], &[], "`/home/me/.config/uv/uv.toml`: line 2 is not".to_owned()),
        (&[uv("index-url = \"hunter22\"")], &[], format!("`/home/me/.config/uv/uv.toml`: {no_address}")),
        (&[uv("[[index]]\nurl = \"../hunter22\"")], &[], format!("`/home/me/.config/uv/uv.toml`: {no_address}")),
        (&[], &[("UV_DEFAULT_INDEX", "hunter22/simple")], format!("UV_DEFAULT_INDEX: {no_address}")),
        (&[], &[("UV_INDEX", "hunter22")], format!("UV_INDEX: {no_address}")),
        (&[], &[("UV_INDEX_URL", "hunter22")], format!("UV_INDEX_URL: {no_address}")),
        (&[], &[("UV_EXTRA_INDEX_URL", "hunter22")], format!("UV_EXTRA_INDEX_URL: {no_address}")),
        // A stronger setting names an index, and the broken one might name a further one beside it.
        (&[uv("[")], &[("UV_DEFAULT_INDEX", GOOD)], "`/home/me/.config/uv/uv.toml`: line 1 is not".to_owned()),
        // A weaker one names an index, and the broken one might name the one that is meant.
        (&[PIP], &[("UV_DEFAULT_INDEX", "hunter22")], format!("UV_DEFAULT_INDEX: {no_address}")),
    ] {
        let (found, passed_over) = unusable(files, variables);
        assert!(found.as_ref().is_some_and(|found| found.starts_with(&wanted)), "{found:?} {wanted}");
        assert!(passed_over.is_empty(), "{passed_over:?}");
    }
    // What is weaker than the index that is chosen plays no part, and is told.
    for (files, variables, wanted) in [
        (&[pip("[global\n")][..], &[("UV_DEFAULT_INDEX", GOOD)][..], "`/etc/pip.conf` is passed over: line 1"),
        (&[uv("[")], &[(PYTHON_INDEX, GOOD)], "uv.toml` is passed over: line 1"),
        (&[], &[(PYTHON_INDEX, GOOD), ("PIP_CONFIG_FILE", "/lost")], "PIP_CONFIG_FILE is passed over: there is no"),
    ] {
        let (found, passed_over) = unusable(files, variables);
        assert!(found.is_none() && passed_over.len() == 1 && passed_over[0].contains(wanted), "{passed_over:?}");
    }
    // Of one program, what is overruled is not looked at, nor an index that is asked for by its name alone.
    let overruled = [pip("[global]\nindex-url = hunter22\n"), uv("index-url = \"hunter22\"")];
    let variables = [("PIP_INDEX_URL", GOOD), ("UV_DEFAULT_INDEX", GOOD)];
    assert_eq!(unusable(&overruled, &variables), (None, Vec::new()));
    let named = [uv("[[index]]\nname = \"x\"\nurl = \"../hunter22\"\nexplicit = true")];
    assert_eq!(unusable(&named, &[]), (None, Vec::new()));
    assert_eq!(unusable(&[], &[("PIP_CONFIG_FILE", "/dev/null")]), (None, Vec::new()));
}

#[test]
fn uv_is_found() {
    let files = [("home/me/.cargo/bin/uv", ""), ("usr/bin/uv", ""), ("opt/bin/uv", ""), ("opt/bin/my-uv", "")];
    let find = |programs: &[&str], variables: &[(&str, &str)]| {
        let root = tempfile::tempdir().unwrap();
        for (path, _) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            let mode = if programs.iter().any(|program| path.ends_with(program)) { 0o755 } else { 0o644 };
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
        let found = Settings::of_machine(get, root.path()).map_err(|error| error.variable)?.uv;
        Ok(found.map(|path| path.strip_prefix(root.path()).unwrap_or(&path).display().to_string()))
    };
    let path = ("PATH", "relative:/usr/bin:/opt/bin");
    let found = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(find(&["usr/bin/uv", "opt/bin/uv"], &[HOME, path]), found("usr/bin/uv"));
    assert_eq!(find(&["opt/bin/uv"], &[HOME, path]), found("opt/bin/uv"));
    assert_eq!(find(&["bin/uv"], &[HOME]), found("home/me/.cargo/bin/uv"));
    assert_eq!(find(&[], &[HOME, path]), Ok(None));
    assert_eq!(find(&[], &[path, (UV, "/own/uv")]), found("/own/uv"));
    assert_eq!(find(&["opt/bin/my-uv"], &[path, (UV, "my-uv")]), found("opt/bin/my-uv"));
    assert_eq!(find(&["uv"], &[path, (UV, "lost")]), Err(UV));
    assert_eq!(find(&["uv"], &[path, (UV, "./uv")]), Err(UV));
}
