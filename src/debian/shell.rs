//! As much of the shell's grammar as it takes to see what a maintainer script calls. Nothing is ever run.

use std::collections::BTreeMap;

/// A word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// What it says, quotes taken off.
    pub text: String,
    /// Whether it means what it says: no parameter, command or pattern in it.
    pub literal: bool,
}

/// How deep commands may stand in commands.
const MAX_DEPTH: usize = 32;

/// The simple commands of a script, in order, whether or not they would ever be reached; those in `$(…)` and backquotes
/// come before the one that they stand in. Words that only steer (`if`, `then`, `case … in`, patterns) are left in place.
pub fn commands(script: &str) -> Vec<Vec<Word>> {
    let mut parser =
        Parser { characters: script.chars().peekable(), commands: Vec::new(), piped: Vec::new(), depth: 0 };
    parser.run(None);
    parser.commands
}

struct Parser<'a> {
    characters: std::iter::Peekable<std::str::Chars<'a>>,
    commands: Vec<Vec<Word>>,
    /// Whether a command ended in a single bar: in a pattern of `case`, that is none.
    piped: Vec<bool>,
    depth: usize,
}

fn begin(word: &mut Option<Word>) -> &mut Word {
    word.get_or_insert(Word { text: String::new(), literal: true })
}

impl Parser<'_> {
    /// Reads up to a closing character, or to the end.
    fn run(&mut self, until: Option<char>) {
        let mut command: Vec<Word> = Vec::new();
        let mut word: Option<Word> = None;
        let mut here_documents: Vec<String> = Vec::new();
        let mut groups = 0;
        while let Some(c) = self.characters.next() {
            // A bracket that was opened in the same command closes that.
            let open = command.iter().filter(|word| word.text == "(").count();
            let closed = command.iter().filter(|word| word.text == ")").count();
            if Some(c) == until && (c != ')' || open <= closed) {
                break;
            }
            match c {
                '\\' => match self.characters.next() {
                    Some('\n') | None => {}
                    Some(c) => begin(&mut word).text.push(c),
                },
                '\'' => {
                    let word = begin(&mut word);
                    for c in self.characters.by_ref().take_while(|c| *c != '\'') {
                        word.text.push(c);
                    }
                }
                '"' => {
                    begin(&mut word);
                    while let Some(c) = self.characters.next().filter(|c| *c != '"') {
                        match c {
                            '\\' => match self.characters.next() {
                                Some('\n') | None => {}
                                Some(c) => begin(&mut word).text.push(c),
                            },
                            '$' | '`' => self.computed(c, &mut word),
                            c => begin(&mut word).text.push(c),
                        }
                    }
                }
                '$' | '`' => self.computed(c, &mut word),
                '*' | '?' => {
                    let word = begin(&mut word);
                    word.literal = false;
                    word.text.push(c);
                }
                '[' if word.is_some() => {
                    let word = begin(&mut word);
                    word.literal = false;
                    word.text.push(c);
                }
                '#' if word.is_none() => while self.characters.next_if(|c| *c != '\n').is_some() {},
                '<' | '>' => {
                    // The number before it says which stream.
                    if word
                        .as_ref()
                        .is_some_and(|word| word.literal && word.text.bytes().all(|byte| byte.is_ascii_digit()))
                    {
                        word = None;
                    }
                    command.extend(word.take());
                    if c == '<' && self.characters.next_if_eq(&'<').is_some() {
                        while self.characters.next_if(|c| *c == '-' || *c == ' ').is_some() {}
                        let mut end = String::new();
                        while let Some(c) = self.characters.next_if(|c| !c.is_whitespace() && !";|&<>".contains(*c)) {
                            end.push(c);
                        }
                        here_documents.push(end.replace(['"', '\'', '\\'], ""));
                        continue;
                    }
                    self.characters.next_if_eq(&'>');
                    command.push(Word { text: c.to_string(), literal: true });
                    if self.characters.next_if_eq(&'&').is_some() {
                        begin(&mut word).text.push('&');
                    }
                }
                ' ' | '\t' => command.extend(word.take()),
                '\n' | ';' | '|' | '&' => {
                    command.extend(word.take());
                    let piped = c == '|' && self.characters.peek() != Some(&'|');
                    self.end(&mut command, piped);
                    if c == '\n' {
                        for end in here_documents.drain(..) {
                            self.skip_here_document(&end);
                        }
                    }
                }
                '(' | ')' => {
                    command.extend(word.take());
                    let opened = command.iter().any(|word| word.text == "(");
                    if c == '(' {
                        groups += 1;
                    } else if groups > 0 {
                        groups -= 1;
                        if !opened {
                            self.end(&mut command, false);
                            continue;
                        }
                    }
                    if c == ')' && !command.iter().any(|word| word.text == "(") {
                        while self.piped.last() == Some(&true)
                            && self.commands.last().is_some_and(|last| !last.iter().any(|word| word.text == "("))
                        {
                            self.commands.pop();
                            self.piped.pop();
                        }
                    }
                    command.push(Word { text: c.to_string(), literal: true });
                    // `name()` begins a function.
                    if c == ')' && command.len() == 3 && command[1].text == "(" {
                        self.end(&mut command, false);
                    }
                }
                '{' | '}' if word.is_none() => command.push(Word { text: c.to_string(), literal: true }),
                c => begin(&mut word).text.push(c),
            }
        }
        command.extend(word);
        self.end(&mut command, false);
    }

    fn end(&mut self, command: &mut Vec<Word>, piped: bool) {
        if !command.is_empty() {
            self.commands.push(std::mem::take(command));
            self.piped.push(piped);
        }
    }

    /// A parameter or a command in a word.
    fn computed(&mut self, c: char, word: &mut Option<Word>) {
        let word = begin(word);
        word.literal = false;
        word.text.push(c);
        if self.depth >= MAX_DEPTH {
            return;
        }
        self.depth += 1;
        if c == '`' {
            self.run(Some('`'));
        } else if self.characters.next_if_eq(&'{').is_some() {
            word.text.push('{');
            for c in self.characters.by_ref().take_while(|c| *c != '}') {
                word.text.push(c);
            }
            word.text.push('}');
        } else if self.characters.next_if_eq(&'(').is_some() {
            if self.characters.next_if_eq(&'(').is_some() {
                // Arithmetic calls nothing.
                let mut before = ' ';
                for c in self.characters.by_ref() {
                    if c == ')' && before == ')' {
                        break;
                    }
                    before = c;
                }
            } else {
                self.run(Some(')'));
            }
        }
        self.depth -= 1;
    }

    fn skip_here_document(&mut self, end: &str) {
        loop {
            let mut line = String::new();
            let mut last = true;
            for c in self.characters.by_ref() {
                if c == '\n' {
                    last = false;
                    break;
                }
                line.push(c);
            }
            if last || line.trim_start_matches('\t') == end {
                break;
            }
        }
    }
}

/// As [`commands`], with the values of those parameters that are set once, to a text, put in their places.
pub fn settled(script: &str) -> Vec<Vec<Word>> {
    let mut commands = commands(script);
    let mut values: BTreeMap<String, Option<String>> = BTreeMap::new();
    for command in &commands {
        let mut set = |name: &str, value: Option<String>| {
            let value = if values.contains_key(name) { None } else { value };
            values.insert(name.to_owned(), value);
        };
        for word in command {
            if let Some((name, value)) = word.text.split_once('=').filter(|(name, _)| is_parameter(name)) {
                set(name, word.literal.then(|| value.to_owned()));
            }
        }
        if matches!(command[0].text.as_str(), "for" | "read" | "local" | "export" | "do" | "while") {
            // What they set has no one value; names that are merely said here have none either.
            for word in command.iter().filter(|word| is_parameter(&word.text)) {
                set(&word.text, None);
                set(&word.text, None);
            }
        }
    }
    for word in commands.iter_mut().flatten().filter(|word| !word.literal) {
        if let Some(text) = put_in(&word.text, &values) {
            *word = Word { text, literal: true };
        }
    }
    commands
}

fn is_parameter(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.as_bytes()[0].is_ascii_digit()
}

/// A word with all its parameters replaced; `None` where one has no known value.
fn put_in(text: &str, values: &BTreeMap<String, Option<String>>) -> Option<String> {
    if text.contains(['*', '?', '[', '`']) {
        return None;
    }
    let mut parts = text.split('$');
    let mut whole = parts.next()?.to_owned();
    for part in parts {
        let (name, rest) = match part.strip_prefix('{') {
            Some(part) => part.split_once('}')?,
            None => part.split_at(part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len())),
        };
        whole.push_str(values.get(name)?.as_deref()?);
        whole.push_str(rest);
    }
    Some(whole)
}

/// The name of the program that a command calls, past the words that steer; empty where it calls none.
pub fn program(command: &[Word]) -> &str {
    let mut rest = command;
    // A pattern of `case`: everything up to its bracket.
    if let Some(bracket) = rest.iter().position(|word| word.text == ")")
        && (rest[0].text == "(" || !rest[..bracket].iter().any(|word| word.text == "("))
    {
        rest = &rest[bracket + 1..];
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
        assert_eq!(words("a ${b} \"${c}\" `d` e*"), ["d", "a <${b}> <${c}> <`> <e*>"]);
        assert_eq!(words("cat > x <<EOF\nrm -rf /\nEOF\nb"), ["cat > x", "b"]);
        assert_eq!(words("if [ -x y ]; then z; fi"), ["if [ -x y ]", "then z", "fi"]);
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
        assert_eq!(programs("x=$(a | b \"$(c)\") y; echo $((1 + 2)) >&2"), ["a", "c", "b", "y", "echo"]);
        assert_eq!(programs("f() { cp a b; }; f"), ["f", "cp", "f"]);
        assert_eq!(programs("(a; b) | c 2>/dev/null"), ["a", "b", "c"]);
        assert_eq!(programs("f() {\n cp a b\n}\nf"), ["f", "cp", "f"]);
    }

    #[test]
    fn parameters_with_one_value_are_known() {
        let last = |script: &str| {
            let word = settled(script).pop().unwrap().pop().unwrap();
            if word.literal { word.text } else { "?".to_owned() }
        };
        assert_eq!(last("USER=\"redis\"\nadduser ${USER}"), "redis");
        assert_eq!(last("A=x\nB=y\nc /a/$A.${B}"), "/a/x.y");
        for script in
            ["A=x\nA=y\nc $A", "A=$(b)\nc $A", "A=x\nfor A in b; do\nc $A", "c $A", "A=x\nc $A*", "A=x\nc ${A:-y}"]
        {
            assert_eq!(last(script), "?", "{script}");
        }
    }

    #[test]
    fn broken_scripts_end() {
        for script in ["'", "\"", "\\", "<<", "<<EOF\n", "a <<EOF", "`", "$(", "\"\\"] {
            commands(script);
        }
    }
}
