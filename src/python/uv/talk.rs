//! What `uv` says, as errors of ours.

use super::UvError;
use crate::python::PackageName;
use crate::python::debian_names::advice;
use crate::shown::Shown;

/// What it says where an index could not be asked, in words that it or its libraries use.
const NO_ANSWER: &[&str] = &[
    "Failed to fetch",
    "error sending request",
    "HTTP status server error",
    "client error (Connect)",
    "Connection refused",
    "dns error",
    "invalid peer certificate",
    "operation timed out",
    "Request failed after",
];

/// What `uv` said when it failed, as an error.
pub(super) fn explain(talk: &str) -> UvError {
    if talk.contains("No interpreter found") {
        return UvError::NoPython;
    }
    if talk.contains("the network was disabled") || talk.contains("Network connectivity is disabled") {
        return UvError::Offline;
    }
    if let Some(package) = without_wheel(talk) {
        let (name, version) = package.split_once("==").map_or((package, None), |(name, version)| (name, Some(version)));
        if let Ok(name) = name.parse::<PackageName>() {
            return UvError::NoWheel { package: package.to_owned(), advice: advice(&name, version) };
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for line in talk.lines().filter(|line| !line.starts_with("warning: ")) {
        let line = line.trim_matches(|c: char| c.is_whitespace() || "×╰─▶│├".contains(c));
        let line = ["error:", "cause:", "Caused by:"]
            .iter()
            .fold(line, |line, word| line.strip_prefix(word).unwrap_or(line).trim_start());
        let line = Shown::new(line.as_bytes());
        let line = line.bare();
        if !line.is_empty() {
            lines.push(line.to_owned());
        }
    }
    let unsolvable = talk.contains("No solution found");
    lines.retain(|line| !line.starts_with("No solution found"));
    let text = lines.join("; ");
    if !unsolvable && NO_ANSWER.iter().any(|words| talk.contains(words)) {
        return UvError::Network(text);
    }
    match (unsolvable, text.is_empty()) {
        (true, _) => UvError::Unsolvable(text),
        (false, true) => UvError::Failed("it gave no reason".to_owned()),
        (false, false) => UvError::Failed(text),
    }
}

/// The package of which `uv` says that no wheel is there.
fn without_wheel(talk: &str) -> Option<&str> {
    // Of one version, or of all versions of it.
    let ends = [" has no usable wheels", " have no usable wheels"].into_iter().filter_map(|words| talk.find(words));
    let before = &talk[..ends.min()?];
    before.rsplit(char::is_whitespace).next().filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_does_not_answer_is_no_fault_of_the_requirements() {
        for talk in [
            "error: Request failed after 3 retries\n  Caused by: Failed to fetch: `http://127.0.0.1:1/simple/a/`\n  Caused by: error sending request for url (http://127.0.0.1:1/simple/a/)\n  Caused by: client error (Connect)\n  Caused by: tcp connect error: Connection refused (os error 111)\n",
            "error: Failed to fetch: `http://h/simple/a/`\n  Caused by: HTTP status server error (503 Service Unavailable) for url (http://h/simple/a/)\n",
            "error: Failed to fetch: `https://h/simple/a/`\n  Caused by: invalid peer certificate: UnknownIssuer\n",
        ] {
            assert!(matches!(explain(talk), UvError::Network(_)), "{talk}");
        }
    }

    #[test]
    fn what_it_says_becomes_an_error() {
        let all = "error: No solution found when resolving dependencies\n  cause: Because all versions of psycopg2 have no usable wheels and you require psycopg2, we can conclude that your requirements are unsatisfiable.\n";
        let told = explain(all).to_string();
        assert!(told.starts_with("psycopg2 has no wheel that fits") && told.contains("python3-psycopg2"), "{told}");
        let text = "error: No solution found when resolving dependencies\n  cause: Because docopt==0.6.2 has no usable wheels and you require docopt==0.6.2, we can conclude that your requirements are unsatisfiable.\n\nhint: Wheels are required\n";
        let error = explain(text).to_string();
        assert!(error.starts_with("docopt==0.6.2 has no wheel") && error.contains("python3-docopt"), "{error}");
        let text = "warning: x\n  × No solution found when resolving dependencies:\n  ╰─▶ Because a was not found in the package registry,\n      it is unsatisfiable.\n";
        assert_eq!(
            explain(text).to_string(),
            "the Python requirements cannot be resolved: Because a was not found in the package registry,; it is unsatisfiable."
        );
        assert!(matches!(explain("error: No interpreter found for Python 3.11.2 in …"), UvError::NoPython));
        let text = "  × No solution found\n  ╰─▶ Because a was not found in the cache\n\n      hint: Packages were unavailable because the network was disabled.\n";
        assert!(matches!(explain(text), UvError::Offline));
        assert_eq!(explain("").to_string(), "`uv` failed: it gave no reason");
        assert_eq!(explain("error: \u{1b}[31mbad").to_string(), "`uv` failed: \\u{1b}[31mbad");
    }
}
