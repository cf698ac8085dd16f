//! Environment markers (packaging specifications, "Dependency specifiers"; PEP 508, and PEP 751 for `extras` and
//! `dependency_groups`), evaluated for a target, never for the machine that builds.
//!
//! The evaluation is written out here: the crates that do it know no `extras` and `dependency_groups`, pass over comparisons
//! that they cannot make, and build decision diagrams whose size a hostile marker chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifier};

use super::{PackageName, TagsError, Target};
use crate::shown::Shown;

/// The longest marker that is read.
const MAX_MARKER: usize = 64 << 10;

/// The most parentheses in one another.
const MAX_DEPTH: usize = 50;

/// A condition on the environment that a package is installed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    text: String,
    expression: Expression,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expression {
    Or(Vec<Expression>),
    And(Vec<Expression>),
    Compare(Value, Operator, Value),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Variable(Variable),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Variable {
    OsName,
    SysPlatform,
    PlatformMachine,
    PlatformPythonImplementation,
    PlatformRelease,
    PlatformSystem,
    PlatformVersion,
    PythonVersion,
    PythonFullVersion,
    ImplementationName,
    ImplementationVersion,
    Extra,
    Extras,
    DependencyGroups,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    LessEqual,
    Equal,
    NotEqual,
    GreaterEqual,
    Greater,
    Compatible,
    Identical,
    In,
    NotIn,
}

/// Why a text is no marker, or has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    /// The text cannot be read.
    #[error("the marker {text} cannot be read at character {at}: {reason}")]
    Syntax {
        /// The text.
        text: Shown,
        /// Where, in bytes from its start.
        at: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// What it asks for is not known of an image.
    #[error("the marker {text} asks for {variable}, which is a matter of the machine that an image runs on")]
    Unknown {
        /// The text.
        text: Shown,
        /// The variable.
        variable: &'static str,
    },
    /// A comparison that has no meaning.
    #[error("the marker {text} compares with {operator} what is no version")]
    Undefined {
        /// The text.
        text: Shown,
        /// The operator.
        operator: &'static str,
    },
}

/// What markers are evaluated against.
#[derive(Clone, Debug)]
pub struct Environment {
    values: BTreeMap<Variable, String>,
    extras: BTreeSet<String>,
    groups: BTreeSet<String>,
}

impl Environment {
    /// The environment of an interpreter in an image. Release and version of the kernel are not known.
    ///
    /// # Errors
    /// For platforms that no wheels are known for.
    pub fn new(target: &Target) -> Result<Self, TagsError> {
        let full = target.version.to_string();
        let values = [
            (Variable::OsName, "posix"),
            (Variable::SysPlatform, "linux"),
            (Variable::PlatformMachine, target.machine()?),
            (Variable::PlatformPythonImplementation, "CPython"),
            (Variable::PlatformSystem, "Linux"),
            (Variable::PythonVersion, &target.version.short()),
            (Variable::PythonFullVersion, &full),
            (Variable::ImplementationName, "cpython"),
            (Variable::ImplementationVersion, &full),
        ];
        let values = values.into_iter().map(|(variable, value)| (variable, value.to_owned())).collect();
        Ok(Environment { values, extras: BTreeSet::new(), groups: BTreeSet::new() })
    }

    /// The same with these extras asked for.
    #[must_use]
    pub fn with_extras<'a>(mut self, extras: impl IntoIterator<Item = &'a str>) -> Self {
        self.extras = extras.into_iter().map(normal).collect();
        self
    }

    /// The same with these dependency groups asked for.
    #[must_use]
    pub fn with_groups<'a>(mut self, groups: impl IntoIterator<Item = &'a str>) -> Self {
        self.groups = groups.into_iter().map(normal).collect();
        self
    }
}

/// Extras and groups are compared as names of packages are.
fn normal(name: &str) -> String {
    name.parse::<PackageName>().map_or_else(|_| name.to_lowercase(), |name| name.to_string())
}

impl Marker {
    /// The text it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// Where that cannot be said; parts of the marker that decide nothing are not looked at.
    pub fn evaluate(&self, environment: &Environment) -> Result<bool, MarkerError> {
        self.expression(&self.expression, environment)
    }

    fn expression(&self, expression: &Expression, environment: &Environment) -> Result<bool, MarkerError> {
        let (parts, stop) = match expression {
            Expression::Or(parts) => (parts, true),
            Expression::And(parts) => (parts, false),
            Expression::Compare(left, operator, right) => return self.compare(left, *operator, right, environment),
        };
        // The first part that decides ends it, but one that cannot be said before it is no reason to fail yet.
        let mut unsaid = None;
        for part in parts {
            match self.expression(part, environment) {
                Ok(value) if value == stop => return Ok(stop),
                Ok(_) => {}
                Err(error) => unsaid = unsaid.or(Some(error)),
            }
        }
        unsaid.map_or(Ok(!stop), Err)
    }

    fn compare(
        &self,
        left: &Value,
        operator: Operator,
        right: &Value,
        environment: &Environment,
    ) -> Result<bool, MarkerError> {
        let text = || Shown::new(self.text.as_bytes());
        let undefined = || MarkerError::Undefined { text: text(), operator: operator.word() };
        // Sets have one operation, membership; the old `extra` is compared with each of them.
        match (left, right) {
            (Value::Text(name), Value::Variable(Variable::Extras | Variable::DependencyGroups)) => {
                let groups = *right == Value::Variable(Variable::DependencyGroups);
                let set = if groups { &environment.groups } else { &environment.extras };
                return match operator {
                    Operator::In => Ok(set.contains(&normal(name))),
                    Operator::NotIn => Ok(!set.contains(&normal(name))),
                    _ => Err(undefined()),
                };
            }
            (Value::Variable(Variable::Extra), Value::Text(name))
            | (Value::Text(name), Value::Variable(Variable::Extra)) => {
                return match operator {
                    Operator::Equal => Ok(environment.extras.contains(&normal(name))),
                    Operator::NotEqual => Ok(!environment.extras.contains(&normal(name))),
                    _ => Err(undefined()),
                };
            }
            _ => {}
        }
        let value = |value: &Value| match value {
            Value::Text(text) => Ok(text.clone()),
            Value::Variable(Variable::Extra | Variable::Extras | Variable::DependencyGroups) => Err(undefined()),
            Value::Variable(variable) => environment
                .values
                .get(variable)
                .cloned()
                .ok_or_else(|| MarkerError::Unknown { text: text(), variable: variable.name() }),
        };
        let is_version = |value: &Value| matches!(value, Value::Variable(variable) if variable.is_version());
        let by_version = is_version(left) || is_version(right);
        let (left, right) = (value(left)?, value(right)?);
        if by_version && let Some(result) = compare_versions(&left, operator, &right) {
            return Ok(result);
        }
        Ok(match operator {
            Operator::Less => left < right,
            Operator::LessEqual => left <= right,
            Operator::Equal | Operator::Identical => left == right,
            Operator::NotEqual => left != right,
            Operator::GreaterEqual => left >= right,
            Operator::Greater => left > right,
            Operator::In => right.contains(&left),
            Operator::NotIn => !right.contains(&left),
            Operator::Compatible => return Err(undefined()),
        })
    }
}

/// `None` where the texts are no versions: then they are compared as texts.
fn compare_versions(left: &str, operator: Operator, right: &str) -> Option<bool> {
    let version: Version = left.parse().ok()?;
    if let Operator::In | Operator::NotIn = operator {
        // A list of versions, not a text: 3.1 is not in "3.11".
        let mut listed = right.split([' ', ',', '|']).filter(|part| !part.is_empty());
        let found = listed.any(|part| part.parse::<Version>().is_ok_and(|other| other == version));
        return Some(found == (operator == Operator::In));
    }
    let specifier: VersionSpecifier = format!("{}{right}", operator.word()).parse().ok()?;
    Some(specifier.contains(&version))
}

impl Operator {
    fn word(self) -> &'static str {
        match self {
            Operator::Less => "<",
            Operator::LessEqual => "<=",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::GreaterEqual => ">=",
            Operator::Greater => ">",
            Operator::Compatible => "~=",
            Operator::Identical => "===",
            Operator::In => "in",
            Operator::NotIn => "not in",
        }
    }
}

impl Variable {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "os_name" | "os.name" => Variable::OsName,
            "sys_platform" | "sys.platform" => Variable::SysPlatform,
            "platform_machine" | "platform.machine" => Variable::PlatformMachine,
            "platform_python_implementation" | "platform.python_implementation" | "python_implementation" => {
                Variable::PlatformPythonImplementation
            }
            "platform_release" => Variable::PlatformRelease,
            "platform_system" => Variable::PlatformSystem,
            "platform_version" | "platform.version" => Variable::PlatformVersion,
            "python_version" => Variable::PythonVersion,
            "python_full_version" => Variable::PythonFullVersion,
            "implementation_name" => Variable::ImplementationName,
            "implementation_version" => Variable::ImplementationVersion,
            "extra" => Variable::Extra,
            "extras" => Variable::Extras,
            "dependency_groups" => Variable::DependencyGroups,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Variable::OsName => "os_name",
            Variable::SysPlatform => "sys_platform",
            Variable::PlatformMachine => "platform_machine",
            Variable::PlatformPythonImplementation => "platform_python_implementation",
            Variable::PlatformRelease => "platform_release",
            Variable::PlatformSystem => "platform_system",
            Variable::PlatformVersion => "platform_version",
            Variable::PythonVersion => "python_version",
            Variable::PythonFullVersion => "python_full_version",
            Variable::ImplementationName => "implementation_name",
            Variable::ImplementationVersion => "implementation_version",
            Variable::Extra => "extra",
            Variable::Extras => "extras",
            Variable::DependencyGroups => "dependency_groups",
        }
    }

    fn is_version(self) -> bool {
        matches!(self, Variable::PythonVersion | Variable::PythonFullVersion | Variable::ImplementationVersion)
    }
}

impl FromStr for Marker {
    type Err = MarkerError;

    fn from_str(text: &str) -> Result<Self, MarkerError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        if text.len() > MAX_MARKER {
            return Err(parser.error("it is too long"));
        }
        let expression = parser.any_of()?;
        parser.skip_blanks();
        match parser.rest().is_empty() {
            true => Ok(Marker { text: text.trim().to_owned(), expression }),
            false => Err(parser.error("`and`, `or` or the end is missing here")),
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, reason: &'static str) -> MarkerError {
        MarkerError::Syntax { text: Shown::new(self.text.as_bytes()), at: self.at, reason }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// Takes that word where it comes next, and no longer word that starts with it.
    fn word(&mut self, word: &str) -> bool {
        self.skip_blanks();
        let Some(after) = self.rest().strip_prefix(word) else { return false };
        if after.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return false;
        }
        self.at += word.len();
        true
    }

    fn any_of(&mut self) -> Result<Expression, MarkerError> {
        let mut parts = vec![self.all_of()?];
        while self.word("or") {
            parts.push(self.all_of()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Or(parts) })
    }

    fn all_of(&mut self) -> Result<Expression, MarkerError> {
        let mut parts = vec![self.one()?];
        while self.word("and") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::And(parts) })
    }

    fn one(&mut self) -> Result<Expression, MarkerError> {
        self.skip_blanks();
        if !self.rest().starts_with('(') {
            let left = self.value()?;
            let operator = self.operator()?;
            return Ok(Expression::Compare(left, operator, self.value()?));
        }
        if self.depth >= MAX_DEPTH {
            return Err(self.error("there are too many parentheses in one another"));
        }
        self.depth += 1;
        self.at += 1;
        let inner = self.any_of()?;
        self.skip_blanks();
        if !self.rest().starts_with(')') {
            return Err(self.error("a closing parenthesis is missing here"));
        }
        self.at += 1;
        self.depth -= 1;
        Ok(inner)
    }

    fn value(&mut self) -> Result<Value, MarkerError> {
        self.skip_blanks();
        let rest = self.rest();
        if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
            let inner = &rest[1..];
            let end = inner.find(quote).ok_or_else(|| self.error("a quote is not closed"))?;
            self.at += end + 2;
            return Ok(Value::Text(inner[..end].to_owned()));
        }
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
        let variable =
            Variable::named(&rest[..end]).ok_or_else(|| self.error("a variable or a quoted text is missing here"))?;
        self.at += end;
        Ok(Value::Variable(variable))
    }

    fn operator(&mut self) -> Result<Operator, MarkerError> {
        self.skip_blanks();
        for (sign, operator) in [
            ("===", Operator::Identical),
            ("==", Operator::Equal),
            ("~=", Operator::Compatible),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessEqual),
            (">=", Operator::GreaterEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ] {
            if self.rest().starts_with(sign) {
                self.at += sign.len();
                return Ok(operator);
            }
        }
        if self.word("in") {
            return Ok(Operator::In);
        }
        match self.word("not") && self.word("in") {
            true => Ok(Operator::NotIn),
            false => Err(self.error("a comparison is missing here")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Libc;
    use super::*;
    use crate::oci::Platform;

    fn environment() -> Environment {
        let target = Target {
            version: "3.11.2".parse().unwrap(),
            platform: Platform::linux("arm64"),
            libc: Libc::Glibc { major: 2, minor: 36 },
            free_threaded: false,
        };
        Environment::new(&target).unwrap().with_extras(["Socks", "a_b"]).with_groups(["dev"])
    }

    fn evaluate(text: &str) -> Result<bool, MarkerError> {
        text.parse::<Marker>()?.evaluate(&environment())
    }

    #[test]
    fn conditions() {
        for (text, expected) in [
            ("python_version >= '3.8'", true),
            ("python_version < \"3.10\"", false),
            ("'3.9' <= python_version", true),
            ("python_version == '3.11.*'", true),
            ("python_version ~= '3.8'", true),
            ("python_full_version < '3.11.3'", true),
            ("python_full_version == '3.11.2'", true),
            ("python_full_version === '3.11.2'", true),
            ("python_version in '3.10, 3.11'", true),
            ("python_version in '3.111'", false),
            ("python_version not in '3.8 3.9'", true),
            ("implementation_version >= '3.11'", true),
            ("sys_platform == 'win32'", false),
            ("sys_platform != 'darwin' and platform_machine == 'aarch64'", true),
            ("platform_machine in 'x86_64 aarch64'", true),
            ("platform_machine not in 'x86_64'", true),
            ("os.name == 'posix' and python_implementation == 'CPython'", true),
            ("implementation_name != 'pypy'", true),
            ("sys_platform == 'win32' or (python_version > '3' and os_name == 'posix')", true),
            ("os_name == 'x' and os_name == 'y' or platform_system == 'Linux'", true),
            ("os_name=='posix'and(sys_platform=='linux')", true),
            ("extra == 'socks'", true),
            ("extra == 'A-B'", true),
            ("extra == 'other'", false),
            ("'other' != extra", true),
            ("'socks' in extras", true),
            ("'x' not in extras and 'DEV' in dependency_groups", true),
            ("'test' in dependency_groups", false),
            // What cannot be said decides nothing where the rest does.
            ("platform_release >= '6' and sys_platform == 'win32'", false),
            ("platform_version == '1' or os_name == 'posix'", true),
        ] {
            assert_eq!(evaluate(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_value_is_an_error() {
        for text in
            ["platform_release >= '6'", "sys_platform ~= 'linux'", "extra > 'a'", "extras == 'a'", "extra == os_name"]
        {
            assert!(evaluate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_marker_is_refused() {
        let deep = format!("{}os_name == 'x'{}", "(".repeat(60), ")".repeat(60));
        let long = format!("os_name == '{}'", "x".repeat(70_000));
        for text in [
            "",
            "os_name",
            "os_name ==",
            "os_name = 'x'",
            "os_name == 'x",
            "os_name == x",
            "(os_name == 'x'",
            "os_name == 'x')",
            "os_name == 'x' and",
            "os_name == 'x' os_name == 'y'",
            "unknown == 'x'",
            "os_name not 'x'",
            "python_version >= 3.8",
            &deep,
            &long,
        ] {
            assert!(matches!(evaluate(text), Err(MarkerError::Syntax { .. })), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(python_version|extra|extras|os_name|'3.8'|\"é|'|<=|==|~=|in|not in|and|or|\\(|\\)| ){0,12}") {
            if let Ok(marker) = text.parse::<Marker>() {
                let _ = marker.evaluate(&environment());
                prop_assert_eq!(marker.to_string().parse::<Marker>().unwrap().expression, marker.expression);
            }
        }
    }
}
