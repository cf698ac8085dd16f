//! What BuildKit's parser takes, and what it refuses; wrong Dockerfiles are drawn in the snapshot beside the recipes'.

use proptest::prelude::*;

use super::expand::{Piece, Rule, pieces};
use super::*;

fn read(text: &str) -> Dockerfile {
    parse("Dockerfile", text).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The instructions of the first stage.
fn kinds(text: &str) -> Vec<Kind> {
    read(&format!("FROM x\n{text}")).stages[0].instructions.iter().map(|instruction| instruction.kind.clone()).collect()
}

fn one(text: &str) -> Kind {
    let mut all = kinds(text);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn shell(kind: &Kind) -> &str {
    match kind {
        Kind::Run(Run { form: Form::Shell(line), .. }) | Kind::Cmd(Form::Shell(line)) => line,
        other => panic!("{other:?}"),
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Breaks when lines are joined otherwise than by BuildKit: comments and empty lines inside are passed over.
#[test]
fn lines_are_joined() {
    assert_eq!(shell(&one("RUN a \\\n  # a comment\n\n  && b \\  \n  c")), "a   && b   c");
    assert_eq!(shell(&one("RUN echo a\\\\\n")), "echo a\\\\");
    assert_eq!(shell(&one("  run\\\n one")), "one");
    // At the end of the file there is nothing to go on with.
    assert_eq!(shell(&one("RUN a \\")), "a");
    assert_eq!(kinds("RUN a\r\nRUN b \\\r\n c\r\n").len(), 2);
    let file = read("\u{feff}FROM a\n# syntax=no directive here\nRUN b\\\n c\nRUN d");
    let lines: Vec<usize> = file.stages[0].instructions.iter().map(|instruction| instruction.line).collect();
    assert_eq!(lines, [3, 5]);
}

/// Breaks when directives are looked for below the first line that is none.
#[test]
fn directives_stand_at_the_top() {
    let file =
        read("# syntax=docker/dockerfile:1\n# escape=`\n# check=skip=all\nFROM a\nRUN b `\n c\nCOPY d\\e C:\\\n");
    assert_eq!(file.escape, '`');
    assert_eq!(file.stages[0].instructions.len(), 2);
    assert_eq!(read("# a comment\n# escape=`\nFROM a\n").escape, '\\');
    assert_eq!(read("#escape = \\\nFROM a").escape, '\\');
    assert_eq!(read("# unknown=x\n# escape=`\nFROM a").escape, '`');
}

#[test]
fn heredocs_end_at_their_word() {
    let kinds = kinds("RUN <<EOF bash\nset -e\n  a\nEOF\nCOPY <<-\"A\" <<B /x/\n\tone $X\n\tA\ntwo\nB\nENV a=<<EOF");
    let Kind::Run(run) = &kinds[0] else { panic!() };
    assert_eq!(run.heredocs[0].text, "set -e\n  a\n");
    let Kind::Copy(copy) = &kinds[1] else { panic!() };
    let texts: Vec<(&str, bool)> = copy.heredocs.iter().map(|doc| (doc.text.as_str(), doc.expand)).collect();
    assert_eq!(texts, [("one $X\n", false), ("two\n", true)]);
    assert_eq!(kinds.len(), 3, "only ADD, COPY and RUN have them");
}

#[test]
fn forms_of_commands() {
    assert_eq!(one("CMD [\"a\", \"b c\"]"), Kind::Cmd(Form::Exec(vec!["a".into(), "b c".into()])));
    assert_eq!(shell(&one("CMD ['a']")), "['a']", "what is no JSON is a line of shell");
    assert_eq!(shell(&one("CMD [\"a\", 1]")), "[\"a\", 1]");
    let Kind::Run(run) =
        one("RUN --mount=type=cache,target=/x --mount=type=bind,source=a,target=b --network=none pip x")
    else {
        panic!()
    };
    assert_eq!(run.mounts.len(), 2);
    assert_eq!(run.form, Form::Shell("pip x".into()));
}

#[test]
fn pairs_and_quotes() {
    assert_eq!(
        one("ENV A=1 B=\"x y\" C=a\\ b"),
        Kind::Env(vec![pair("A", "1"), pair("B", "\"x y\""), pair("C", "a\\ b")])
    );
    assert_eq!(one("ENV A  some text = here"), Kind::Env(vec![pair("A", "some text = here")]));
    assert_eq!(one("LABEL \"a.b\"='c'"), Kind::Label(vec![pair("\"a.b\"", "'c'")]));
    let arguments = vec![("A".into(), None), ("B".into(), Some("c".into()))];
    assert_eq!(one("ARG A B=c"), Kind::Arg(arguments));
}

#[test]
fn copies_and_their_flags() {
    let Kind::Copy(copy) = one("COPY --from=build --chown=a:b --chmod=755 --link --exclude=*.x --exclude=y a b /c/")
    else {
        panic!()
    };
    assert_eq!(
        (copy.from.as_deref(), copy.chown.as_deref(), copy.chmod.as_deref()),
        (Some("build"), Some("a:b"), Some("755"))
    );
    assert_eq!(
        (copy.exclude, copy.sources, copy.to.as_str()),
        (vec!["*.x".into(), "y".into()], vec!["a".into(), "b".into()], "/c/")
    );
    let Kind::Add(add) = one("ADD --checksum=sha256:ab --unpack=false [\"a b\", \"/c\"]") else { panic!() };
    assert_eq!(
        (add.sources, add.unpack, add.checksum.as_deref()),
        (vec!["a b".into()], Some(false), Some("sha256:ab"))
    );
}

#[test]
fn stages_are_found_by_name_and_number() {
    let file = read("ARG V=1\nFROM --platform=$BUILDPLATFORM a:$V AS Build\nFROM build as final\nCOPY --from=0 a b");
    assert_eq!(file.stages[0].name.as_deref(), Some("build"));
    assert_eq!((file.stage("BUILD", 1), file.stage("0", 1), file.stage("final", 1)), (Some(0), Some(0), None));
    assert_eq!(file.arguments.len(), 1);
}

#[test]
fn variables_are_read() {
    let literal = |text: &str| Piece::Literal(text.into());
    let variable = |name: &str, rule: Rule, word: Vec<Piece>| Piece::Variable { name: name.into(), rule, word };
    assert_eq!(pieces("'$A'\"b\\\"\"\\$c", '\\').unwrap(), [literal("$Ab\"$c")]);
    assert_eq!(
        pieces("$A${B}x", '\\').unwrap(),
        [variable("A", Rule::Value, vec![]), variable("B", Rule::Value, vec![]), literal("x")]
    );
    let inner = vec![literal("b"), variable("C", Rule::Alternative { empty: true }, vec![literal("d")])];
    assert_eq!(pieces("${A:-b${C+d}}", '\\').unwrap(), [variable("A", Rule::Default { empty: false }, inner)]);
    assert_eq!(pieces("${A##*/}", '\\').unwrap(), [variable("A", Rule::Edit("##*/".into()), vec![])]);
    assert_eq!(pieces("a$ 5$1", '\\').unwrap(), [literal("a$ 5$1")]);
    for wrong in ["'a", "\"a", "${A", "${}", "${A:x}", "${A:-b", &"${A:-".repeat(50)] {
        assert!(pieces(wrong, '\\').is_err(), "{wrong}");
    }
}

/// Each is refused with the offending text underlined; the snapshot is read in reviews.
#[test]
fn wrong_dockerfiles() {
    let cases = [
        ("nothing", "# only a comment\n"),
        ("an instruction before FROM", "RUN a\nFROM b"),
        ("an instruction with a typo", "FROM a\nCOYP b c"),
        ("FROM with two words", "FROM a b"),
        ("a stage called scratch", "FROM a AS scratch"),
        ("COPY of one path", "FROM a\nCOPY b"),
        ("COPY of several to a file", "FROM a\nCOPY b \\\n  c d"),
        ("a flag with a typo", "FROM a\nCOPY --chwon=b c d"),
        ("a flag that ADD has not", "FROM a\nADD --parents b c"),
        ("a flag without a value", "FROM a\nCOPY --from b c"),
        ("a flag twice", "FROM a\nCOPY --chown=a --chown=b c d"),
        ("ENV without a value", "FROM a\nENV B"),
        ("ENV with a word that is no pair", "FROM a\nENV B=c d"),
        ("a quote without an end", "FROM a\nENV B=\"c"),
        ("a brace without an end", "FROM a\nWORKDIR /x/${B"),
        ("an expression that is not known", "FROM a\nWORKDIR ${B:!c}"),
        ("a heredoc without an end", "FROM a\nCOPY <<EOF /x\nhello"),
        ("SHELL in the wrong form", "FROM a\nSHELL bash -c"),
        ("a health check of nothing", "FROM a\nHEALTHCHECK --interval=3s"),
        ("an escape that is none", "# escape=x\nFROM a"),
        ("a directive twice", "# escape=\\\n# escape=`\nFROM a"),
        ("an instruction that says nothing", "FROM a\nRUN"),
        ("an argument without a name", "FROM a\nARG =x"),
    ];
    let mut out = String::new();
    for (name, text) in cases {
        let said = parse("Dockerfile", text).map(|_| ()).expect_err(name);
        out.push_str(&format!("## {name}\n{said}\n\n"));
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "snapshots" }, {
        insta::assert_snapshot!("wrong_dockerfiles", out);
    });
}

#[test]
fn sizes_are_bounded() {
    assert!(parse("x", &"#\n".repeat(MAX_DOCKERFILE)).is_err());
    assert!(parse("x", &format!("FROM a\n{}", "RUN b\n".repeat(MAX_INSTRUCTIONS))).is_err());
    assert!(parse("x", &"FROM a\n".repeat(1000)).is_err());
}

proptest! {
    #[test]
    fn nothing_panics(text in "(FROM a\n)?((RUN|COPY|ENV|LABEL|ARG|CMD|HEALTHCHECK|ADD|USER|ONBUILD|VOLUME)( --[a-z]{0,5}=?)?[ \\\\$\\{\\}\"'<\\[\\]a-zé=:\\-\r\n#]{0,30}\n){0,6}") {
        let _ = parse("Dockerfile", &text);
    }

    #[test]
    fn anything_is_read_or_refused(text in "\\PC{0,80}") {
        let _ = (parse("Dockerfile", &text), pieces(&text, '\\'), expand::pieces_of_heredoc(&text));
    }
}
