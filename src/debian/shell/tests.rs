use super::*;

/// What is called and written, with `…` where it is not known how a word goes on.
#[derive(Default)]
struct Seen(Vec<String>);

impl Watch for Seen {
    fn call(&mut self, call: &Call<'_>) -> Option<bool> {
        let show = |field: &Field| format!("{}{}", field.text, if field.text().is_some() { "" } else { "…" });
        self.0.push(call.words.iter().map(show).collect::<Vec<_>>().join(" "));
        None
    }
    fn write(&mut self, _: usize, target: &Field) {
        self.0.push(format!("> {}", target.text));
    }
    fn trouble(&mut self, _: usize, what: &str) {
        self.0.push(format!("? {what}"));
    }
}

fn seen(script: &str) -> Vec<String> {
    let mut seen = Seen::default();
    match parse(script, Dialect::Bash) {
        Ok(script) => walk(&script, &[Some("configure"), Some("")], &[("ROOT", "")], &mut seen),
        Err(error) => seen.0.push(error.to_string()),
    }
    seen.0
}

#[test]
fn words_are_told_apart() {
    assert_eq!(seen("a 'b c' \"d e\" f\\ g # h\n"), ["a b c d e f g"]);
    assert_eq!(seen("a \\\n\tb || c"), ["a b", "c"]);
    assert_eq!(seen("a ${b} \"${c}\" `d` e* \"f*\""), ["d", "a … … … e… f*"]);
    assert_eq!(seen("cat > x <<EOF\nrm -rf /\nEOF\nb"), ["> x", "cat", "b"]);
    assert_eq!(seen("x=\"a b\"; c $x \"$x\" $x$x"), ["c a b a b a ba b"]);
    assert_eq!(seen("a{b,c} [d]"), ["a… …"].map(|_| "? what it computes"));
}

#[test]
fn ways_that_are_known_are_taken() {
    assert_eq!(seen("case \"$1\" in\nconfigure|x)\n LC_ALL=C mkdir -p /y\n;;\n*) exit 1;;\nesac"), ["mkdir -p /y"]);
    assert_eq!(seen("if ! [ -f x ]; then a; else b; fi"), ["a", "b"]);
    assert_eq!(seen("if [ \"$1\" = configure -a -z \"$2\" ]; then a; else b; fi"), ["a"]);
    assert_eq!(seen("[ \"$ROOT\" ] && a || b"), ["b"]);
    assert_eq!(seen("LANG=$(a | b \"$(c)\") y; echo >&2"), ["a", "c", "b …", "y", "echo"]);
    assert_eq!(seen("f() { cp \"$@\"; }; f a $1"), ["cp a configure"]);
    assert_eq!(seen("(a; b) | c 2>/dev/null &"), ["a", "b", "> /dev/null", "c"]);
    assert_eq!(seen("for i in a b; do c $i; done; d $i"), ["c a", "c b", "d b"]);
    assert_eq!(seen("while a; do i=b; done; c $i"), ["a", "a", "c …"]);
    assert_eq!(seen("set -- x y; shift; a $1 $#"), ["a y 1"]);
}

#[test]
fn parameters_with_one_value_are_known() {
    for (script, last) in [
        ("USER=\"redis\"\nadduser ${USER}", "adduser redis"),
        ("A=x\nB=y\nc /a/$A.${B}", "c /a/x.y"),
        ("A=x\nA=y\nc $A", "c y"),
        ("A=x\nb && A=y\nc \"$A\"", "c …"),
        ("A=$(b)\nc \"$A\"", "c …"),
        ("c \"$A\"", "c …"),
        ("A=x\nc \"${A:-y}\" \"${A%x}\"", "c x …"),
        ("A=x\nread A\nc \"$A\"", "c …"),
        ("f() { local A=y; }\nA=x\nf\nc $A", "c x"),
        ("f() { g && return; A=y; }\nA=x\nf\nc \"$A\"", "c …"),
    ] {
        assert_eq!(seen(script).pop().as_deref(), Some(last), "{script}");
    }
}

#[test]
fn broken_scripts_end() {
    for script in [
        "'",
        "\"",
        "<<",
        "<<EOF\n",
        "a <<EOF",
        "`",
        "$(",
        "\"\\",
        "if",
        "for",
        "case x in",
        "f() {",
        ")",
        "a &&",
        "((x))",
    ] {
        assert!(parse(script, Dialect::Sh).is_err(), "{script}");
    }
    let deep = "$(".repeat(10_000);
    assert!(parse(&deep, Dialect::Bash).is_err());
    let (deep, many) = ("f() { f; }; f".to_owned(), "f() { g; g; }; g() { h; h; }; h() { f; f; }; f".to_owned());
    for script in [deep, many] {
        assert!(seen(&script).contains(&"? more than can be followed".to_owned()), "{script}");
    }
}

#[test]
fn lines_that_are_no_commands_are_split() {
    assert_eq!(split("u _apt 42:nogroup - \"a b\" 'c' d\\ e # f"), ["u", "_apt", "42:nogroup", "-", "a b", "c", "d e"]);
}
