//! As much of the shell's grammar as it takes to see what a maintainer script calls. Nothing is ever run.

/// A word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// What it says, quotes taken off.
    pub text: String,
    /// Whether it means what it says: no parameter, command or pattern in it.
    pub literal: bool,
}

/// The simple commands of a script, in order, whether or not they would ever be reached. Words that only steer
/// (`if`, `then`, `case … in`, patterns) are left in their places.
pub fn commands(script: &str) -> Vec<Vec<Word>> {
    let mut commands = Vec::new();
    let mut command: Vec<Word> = Vec::new();
    let mut word: Option<Word> = None;
    let mut characters = script.chars().peekable();
    // Whether a command ended in a single bar: in a pattern of `case`, that is none.
    let mut piped: Vec<bool> = Vec::new();
    let mut here_documents: Vec<String> = Vec::new();
    let push =
        |word: &mut Option<Word>, c: char| word.get_or_insert(Word { text: String::new(), literal: true }).text.push(c);
    let spoil =
        |word: &mut Option<Word>| word.get_or_insert(Word { text: String::new(), literal: true }).literal = false;
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('\n') | None => {}
                Some(c) => push(&mut word, c),
            },
            '\'' => {
                word.get_or_insert(Word { text: String::new(), literal: true });
                for c in characters.by_ref().take_while(|c| *c != '\'') {
                    push(&mut word, c);
                }
            }
            '"' => {
                word.get_or_insert(Word { text: String::new(), literal: true });
                while let Some(c) = characters.next().filter(|c| *c != '"') {
                    match c {
                        '\\' => match characters.next() {
                            Some('\n') | None => {}
                            Some(c) => push(&mut word, c),
                        },
                        '$' | '`' => {
                            spoil(&mut word);
                            push(&mut word, c);
                        }
                        c => push(&mut word, c),
                    }
                }
            }
            '$' | '`' | '*' | '?' | '[' if !(c == '[' && word.is_none()) => {
                spoil(&mut word);
                push(&mut word, c);
            }
            '#' if word.is_none() => while characters.next_if(|c| *c != '\n').is_some() {},
            '<' if characters.peek() == Some(&'<') => {
                characters.next();
                while characters.next_if(|c| *c == '-' || *c == ' ').is_some() {}
                let mut end = String::new();
                while let Some(c) = characters.next_if(|c| !c.is_whitespace() && !";|&<>".contains(*c)) {
                    end.push(c);
                }
                here_documents.push(end.replace(['"', '\'', '\\'], ""));
            }
            ' ' | '\t' => command.extend(word.take()),
            '\n' | ';' | '|' | '&' => {
                command.extend(word.take());
                if !command.is_empty() {
                    commands.push(std::mem::take(&mut command));
                    piped.push(c == '|' && characters.peek() != Some(&'|'));
                }
                if c == '\n' {
                    for end in here_documents.drain(..) {
                        loop {
                            let mut line = String::new();
                            let mut ended = true;
                            for c in characters.by_ref() {
                                if c == '\n' {
                                    ended = false;
                                    break;
                                }
                                line.push(c);
                            }
                            if ended || line.trim_start_matches('\t') == end {
                                break;
                            }
                        }
                    }
                }
            }
            '{' | '}' | '(' | ')' | '<' | '>' if word.is_none() || matches!(c, '(' | ')' | '<' | '>') => {
                command.extend(word.take());
                if c == ')' && !command.iter().any(|word| word.text == "(") {
                    while piped.last() == Some(&true)
                        && commands.last().is_some_and(|last| !last.iter().any(|word| word.text == "("))
                    {
                        commands.pop();
                        piped.pop();
                    }
                }
                command.push(Word { text: c.to_string(), literal: true });
            }
            c => push(&mut word, c),
        }
    }
    command.extend(word);
    if !command.is_empty() {
        commands.push(command);
    }
    commands
}

/// The name of the program that a command calls, past the words that steer; empty where it calls none.
pub fn program(command: &[Word]) -> &str {
    let mut rest = command;
    // A pattern of `case`: everything up to its bracket.
    if let Some(bracket) = rest.iter().position(|word| word.text == ")") {
        if !rest[..bracket].iter().any(|word| word.text == "(") || rest[0].text == "(" {
            rest = &rest[bracket + 1..];
        }
    }
    for word in rest {
        match word.text.as_str() {
            "if" | "then" | "else" | "elif" | "while" | "until" | "do" | "!" | "{" | "(" | "exec" => {}
            "fi" | "done" | "esac" | "}" | ")" | "case" | "for" | "in" | "function" | "<" | ">" => return "",
            // An assignment.
            text if text.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            }) => {}
            text => return text,
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart() {
        let words = |script: &str| -> Vec<String> {
            let show = |word: &Word| if word.literal { word.text.clone() } else { format!("<{}>", word.text) };
            commands(script).iter().map(|command| command.iter().map(show).collect::<Vec<_>>().join(" ")).collect()
        };
        assert_eq!(words("a 'b c' \"d e\" f\\ g # h\n"), ["a b c d e f g"]);
        assert_eq!(words("a \\\n\tb || true"), ["a b", "true"]);
        assert_eq!(words("a $b \"$c\" `d` e*"), ["a <$b> <$c> <`d`> <e*>"]);
        assert_eq!(words("cat > x <<EOF\nrm -rf /\nEOF\nb"), ["cat > x", "b"]);
        assert_eq!(words("if [ -x y ]; then z; fi"), ["if [ -x y <]>".replace("<]>", "]").as_str(), "then z", "fi"]);
    }

    #[test]
    fn programs_are_found_behind_what_steers() {
        let programs = |script: &str| -> Vec<String> {
            commands(script).iter().map(|command| program(command).to_owned()).filter(|name| !name.is_empty()).collect()
        };
        assert_eq!(
            programs("case \"$1\" in\nconfigure|x)\n A=1 mkdir -p /y\n;;\n*) exit 1;;\nesac"),
            ["mkdir", "exit"]
        );
        assert_eq!(programs("if ! test -f x; then rm x; else mv x y; fi"), ["test", "rm", "mv"]);
        assert_eq!(programs("f() {\n cp a b\n}\nf"), ["f", "cp", "f"][..]);
    }

    #[test]
    fn broken_scripts_end() {
        for script in ["'", "\"", "\\", "<<", "<<EOF\n", "a <<EOF", "`", "$(", "\"\\"] {
            commands(script);
        }
    }
}
