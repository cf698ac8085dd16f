//! Which packages a list of names needs: apt's answer, without apt.
//!
//! Each name has one candidate: the newest version of the suites with the highest priority. From the roots on, every
//! dependency is satisfied by what is already chosen, else by its first alternative that there is: a package of that name
//! before those that provide it, and among these the essential ones, then by priority, then by name. Dependencies that
//! leave no choice are followed before those that do, so that a choice is made with as much known as can be. Nothing is
//! ever taken back: where the packages found conflict in the end, that is an error which says how each came in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::str::FromStr;

use super::dependency::{
    Atom, Dependency, RelationError, is_architecture, is_package_name, parse_atoms, parse_dependencies,
};
use super::packages::{MultiArch, Package, Packages};
use super::version::Version;
use crate::shown::Shown;

/// A package that a recipe names: `name`, `name=version`, `name/suite`, `name:architecture`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Name of the package, real or virtual.
    pub name: String,
    /// The architecture, where it is said. It must be the image's.
    pub architecture: Option<String>,
    /// What else is asked for.
    pub pin: Option<Pin>,
}

/// Which of a package's versions is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Exactly this version.
    Version(Version),
    /// That of this suite, by its name or codename.
    Suite(String),
}

/// Why a text names no package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} names no package: write `name`, `name=version` or `name/suite`")]
pub struct RootError(Shown);

impl FromStr for Root {
    type Err = RootError;

    fn from_str(text: &str) -> Result<Self, RootError> {
        let wrong = || RootError(Shown::new(text.as_bytes()));
        let (rest, pin) = if let Some((rest, version)) = text.split_once('=') {
            (rest, Some(Pin::Version(version.parse().map_err(|_| wrong())?)))
        } else if let Some((rest, suite)) = text.split_once('/') {
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if suite.is_empty() || !suite.bytes().all(fine) {
                return Err(wrong());
            }
            (rest, Some(Pin::Suite(suite.to_owned())))
        } else {
            (text, None)
        };
        let (name, architecture) = rest.split_once(':').map_or((rest, None), |(name, arch)| (name, Some(arch)));
        if !is_package_name(name) || architecture.is_some_and(|architecture| !is_architecture(architecture)) {
            return Err(wrong());
        }
        Ok(Root { name: name.to_owned(), architecture: architecture.map(str::to_owned), pin })
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(architecture) = &self.architecture {
            write!(f, ":{architecture}")?;
        }
        match &self.pin {
            None => Ok(()),
            Some(Pin::Version(version)) => write!(f, "={version}"),
            Some(Pin::Suite(suite)) => write!(f, "/{suite}"),
        }
    }
}

/// One index that packages may come from: a component of a suite, or the `.deb` files of the recipe.
pub struct Suite<'a> {
    /// The names it goes by in `package/suite`: as the recipe has it, its codename.
    pub names: Vec<String>,
    /// As in apt: 500, or 100 and 1 for suites that are marked `NotAutomatic` (backports, experimental).
    pub priority: i32,
    /// What it has.
    pub packages: &'a Packages,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The image's architecture, in Debian's names.
    pub architecture: &'a str,
    /// Where packages may come from, in the recipe's order.
    pub suites: &'a [Suite<'a>],
    /// What the base has.
    pub installed: &'a Packages,
    /// What the recipe names.
    pub roots: &'a [Root],
    /// Whether the Essential packages come along.
    pub essential: bool,
    /// Whether recommended packages come along where they can.
    pub recommends: bool,
    /// Names that nothing gets as a dependency.
    pub without: &'a BTreeSet<String>,
    /// Versions, by name, that are taken where there are newer ones, too.
    pub preferred: &'a BTreeMap<String, String>,
}

/// A package that was chosen.
#[derive(Clone, Debug)]
pub struct Chosen<'a> {
    /// The package.
    pub package: Package<'a>,
    /// Number of its suite in the request.
    pub suite: usize,
    /// Which package asked for it, with the relation; `None` where the recipe did.
    pub because: Option<(&'a str, String)>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Solution<'a> {
    /// What is to be added, by name.
    pub chosen: BTreeMap<&'a str, Chosen<'a>>,
    /// Roots that the base has.
    pub present: BTreeSet<&'a str>,
    /// What was left out because of `without`: the package that wanted it, and the relation.
    pub left_out: BTreeSet<(String, String)>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SolveError {
    /// Nothing has that name.
    #[error("no suite has a package {name}{hint}")]
    Unknown {
        /// The name.
        name: Root,
        /// What may have been meant.
        hint: String,
    },
    /// Several packages provide the name.
    #[error("{name} is no package but provided by several: name one of {providers}")]
    Ambiguous {
        /// The name.
        name: Root,
        /// What provides it.
        providers: String,
    },
    /// The package is there, and not as it was asked for.
    #[error("{name} is not available: {available}")]
    NotAvailable {
        /// What was asked for.
        name: Root,
        /// What there is.
        available: String,
    },
    /// Both asked for and left out.
    #[error("the package {0} is both asked for and in `without`")]
    Contradiction(String),
    /// A dependency that nothing satisfies.
    #[error("{chain} needs {dependency}, which cannot be had: {reasons}")]
    Unsatisfiable {
        /// How it came in.
        chain: String,
        /// The one that needs it.
        package: String,
        /// What it needs.
        dependency: String,
        /// Why each alternative fails.
        reasons: String,
    },
    /// A package of the base would have to be another version.
    #[error(
        "{chain} needs {wanted}, and the base has {package} {installed}: packages of the base are not upgraded, so use a newer base"
    )]
    Upgrade {
        /// How it came in.
        chain: String,
        /// What is needed.
        wanted: String,
        /// The package.
        package: String,
        /// The base's version.
        installed: String,
    },
    /// Two packages cannot be together.
    #[error("{first} and {second} cannot be together: {package} {word} {relation}")]
    Conflict {
        /// How the one came in.
        first: Box<str>,
        /// How the other did.
        second: Box<str>,
        /// The one that says so.
        package: Box<str>,
        /// The other one.
        other: Box<str>,
        /// `conflicts with` or `breaks`.
        word: &'static str,
        /// What it says.
        relation: Box<str>,
    },
    /// A field of a package is wrong.
    #[error("a relation of package {package} is refused")]
    Relation {
        /// The package.
        package: String,
        /// What is wrong.
        source: RelationError,
    },
}

impl SolveError {
    /// The packages whose versions stand in the way, those first whose others would most likely help.
    pub fn involved(&self) -> Vec<Vec<String>> {
        match self {
            SolveError::Unsatisfiable { package, dependency, .. } => {
                let wanted = parse_dependencies(dependency).unwrap_or_default();
                let names = wanted.iter().flat_map(|dependency| &dependency.alternatives);
                vec![names.map(|atom| atom.name.to_string()).collect(), vec![package.clone()]]
            }
            SolveError::Conflict { package, other, .. } => vec![vec![other.to_string()], vec![package.to_string()]],
            _ => Vec::new(),
        }
    }
}

/// Finds the packages that a request needs.
///
/// # Errors
/// [`SolveError`], with the chain of packages that led to it.
pub fn solve<'a>(request: &'a Request<'a>) -> Result<Solution<'a>, SolveError> {
    let mut solver = Solver::new(request)?;
    let mut roots: Vec<&Root> = request.roots.iter().collect();
    roots.sort_by(|a, b| a.name.cmp(&b.name));
    // Packages first: a virtual name may then be provided by one of them.
    let (real, virtuals): (Vec<&Root>, Vec<&Root>) =
        roots.into_iter().partition(|root| solver.candidate(&root.name).is_some());
    for root in real.into_iter().chain(virtuals) {
        solver.root(root)?;
    }
    if request.essential {
        let names: BTreeSet<&str> = solver.all().filter(|package| package.essential()).map(Package::name).collect();
        for name in names {
            // What is essential in one suite only may be gone in the newer one.
            let candidate = solver.candidate(name).filter(|(_, package)| package.essential());
            if let Some((suite, package)) = candidate
                && !solver.installed.contains_key(name)
            {
                solver.choose(suite, package, None)?;
            }
        }
    }
    solver.run()?;
    solver.check_conflicts()?;
    Ok(solver.solution)
}

/// Something to be satisfied.
#[derive(Clone, Debug)]
struct Wanted<'a> {
    by: &'a str,
    dependency: Dependency,
}

#[derive(Clone)]
struct Solver<'a> {
    request: &'a Request<'a>,
    pins: BTreeMap<&'a str, &'a Pin>,
    installed: BTreeMap<&'a str, Package<'a>>,
    /// Virtual names of what is installed or chosen, with who provides them, in which version.
    provided: BTreeMap<Box<str>, Vec<(&'a str, Option<Version>)>>,
    solution: Solution<'a>,
    /// Dependencies that leave no choice, and those that do.
    single: VecDeque<Wanted<'a>>,
    several: VecDeque<Wanted<'a>>,
    /// Recommendations, looked at when all dependencies are satisfied.
    recommended: VecDeque<Wanted<'a>>,
}

impl<'a> Solver<'a> {
    fn new(request: &'a Request<'a>) -> Result<Self, SolveError> {
        let mut solver = Solver {
            request,
            pins: BTreeMap::new(),
            installed: BTreeMap::new(),
            provided: BTreeMap::new(),
            solution: Solution::default(),
            single: VecDeque::new(),
            several: VecDeque::new(),
            recommended: VecDeque::new(),
        };
        for root in request.roots {
            if request.without.contains(&root.name) {
                return Err(SolveError::Contradiction(root.name.clone()));
            }
            if let Some(pin) = &root.pin {
                solver.pins.insert(&root.name, pin);
            }
        }
        for package in request.installed.iter() {
            if !solver.fits(package) {
                continue;
            }
            solver.installed.insert(package.name(), package);
            // What is installed may say what it likes; a relation that cannot be read provides nothing.
            let _ = solver.provide(package);
        }
        Ok(solver)
    }

    fn fits(&self, package: Package<'_>) -> bool {
        package.architecture() == self.request.architecture || package.architecture() == "all"
    }

    fn all(&self) -> impl Iterator<Item = Package<'a>> + use<'a> {
        self.request.suites.iter().flat_map(|suite| suite.packages.iter())
    }

    /// The one version of a package that may be chosen, with the number of its suite.
    fn candidate(&self, name: &str) -> Option<(usize, Package<'a>)> {
        let preferred = self.request.preferred.get(name).and_then(|version| self.best(name, Some(version)));
        preferred.or_else(|| self.best(name, None))
    }

    /// The newest version that may be chosen; with `version`, that one.
    fn best(&self, name: &str, version: Option<&str>) -> Option<(usize, Package<'a>)> {
        let pin = self.pins.get(name);
        let mut best: Option<(usize, Package<'a>)> = None;
        for (number, suite) in self.request.suites.iter().enumerate() {
            let named = suite.packages.named(name).filter(|package| self.fits(*package));
            for package in named.filter(|package| version.is_none_or(|version| package.version_text() == version)) {
                let asked = match pin {
                    None => true,
                    Some(Pin::Version(version)) => package.version().is_some_and(|other| other == *version),
                    Some(Pin::Suite(name)) => suite.names.iter().any(|other| other == name),
                };
                let better = best.is_none_or(|(there, other)| {
                    let (there, here) = (self.request.suites[there].priority, suite.priority);
                    if pin.is_none() && there != here { here > there } else { package.later_than(other) }
                });
                if asked && better {
                    best = Some((number, package));
                }
            }
        }
        best
    }

    fn root(&mut self, root: &'a Root) -> Result<(), SolveError> {
        if let Some(architecture) = &root.architecture
            && architecture != self.request.architecture
        {
            let available = format!(
                "the image is for {}, and packages of other architectures are not mixed in",
                self.request.architecture
            );
            return Err(SolveError::NotAvailable { name: root.clone(), available });
        }
        if let Some(package) = self.installed.get(root.name.as_str()) {
            let other = match &root.pin {
                Some(Pin::Version(version)) => package.version().is_none_or(|installed| installed != *version),
                _ => false,
            };
            if other {
                return Err(SolveError::Upgrade {
                    chain: "the recipe".to_owned(),
                    wanted: root.to_string(),
                    package: root.name.clone(),
                    installed: package.version_text().to_owned(),
                });
            }
            self.solution.present.insert(package.name());
            return Ok(());
        }
        if let Some((suite, package)) = self.candidate(&root.name) {
            return self.choose(suite, package, None);
        }
        let versions: BTreeSet<String> = self
            .request
            .suites
            .iter()
            .flat_map(|suite| suite.packages.named(&root.name).map(move |package| (suite, package)))
            .map(|(suite, package)| {
                let suite = suite.names.first().map_or("", String::as_str);
                format!("{} ({}, {suite})", package.version_text(), package.architecture())
            })
            .collect();
        if !versions.is_empty() {
            let available = format!("there is {}", versions.into_iter().collect::<Vec<_>>().join(", "));
            return Err(SolveError::NotAvailable { name: root.clone(), available });
        }
        let atom = Atom::named(&root.name);
        if self.satisfied_by(&atom) {
            return Ok(());
        }
        let providers = self.options_of(&atom);
        match (&providers[..], &root.pin) {
            ([(suite, package)], None) => self.choose(*suite, *package, None),
            ([], _) => Err(SolveError::Unknown { name: root.clone(), hint: self.hint(&root.name) }),
            (several, _) => {
                let names: Vec<&str> = several.iter().map(|(_, package)| package.name()).collect();
                Err(SolveError::Ambiguous { name: root.clone(), providers: names.join(", ") })
            }
        }
    }

    /// Names that are like one that does not exist.
    fn hint(&self, name: &str) -> String {
        let mut near: Vec<(usize, &str)> = self
            .all()
            .map(Package::name)
            .filter(|other| other.len().abs_diff(name.len()) <= 2 || other.starts_with(name))
            .map(|other| (if other.starts_with(name) { 2 } else { distance(name, other) }, other))
            .filter(|(distance, _)| *distance <= 2)
            .collect();
        near.sort_unstable();
        near.dedup();
        near.truncate(3);
        let near: Vec<&str> = near.into_iter().map(|(_, name)| name).collect();
        if near.is_empty() { String::new() } else { format!(" (is it {}?)", near.join(", ")) }
    }

    fn choose(
        &mut self,
        suite: usize,
        package: Package<'a>,
        because: Option<(&'a str, String)>,
    ) -> Result<(), SolveError> {
        let name = package.name();
        if self.solution.chosen.contains_key(name) {
            return Ok(());
        }
        self.solution.chosen.insert(name, Chosen { package, suite, because });
        let wrong = |source| SolveError::Relation { package: name.to_owned(), source };
        self.provide(package).map_err(wrong)?;
        for field in [package.pre_depends(), package.depends()] {
            for dependency in parse_dependencies(field).map_err(wrong)? {
                self.want(name, dependency);
            }
        }
        if self.request.recommends {
            for dependency in parse_dependencies(package.recommends()).map_err(wrong)? {
                self.recommended.push_back(Wanted { by: name, dependency });
            }
        }
        Ok(())
    }

    fn provide(&mut self, package: Package<'a>) -> Result<(), RelationError> {
        for provided in parse_atoms(package.provides())? {
            let version = provided.version.map(|(_, version)| version);
            self.provided.entry(provided.name).or_default().push((package.name(), version));
        }
        Ok(())
    }

    fn want(&mut self, by: &'a str, mut dependency: Dependency) {
        let without = |atom: &Atom| self.request.without.contains(&*atom.name);
        if dependency.alternatives.iter().any(without) {
            self.solution.left_out.insert((by.to_owned(), dependency.to_string()));
            // What is left out is not to be made up for by what is only its replacement.
            match dependency.alternatives.first().is_some_and(without) {
                true => dependency.alternatives.clear(),
                false => dependency.alternatives.retain(|atom| !without(atom)),
            }
        }
        if dependency.alternatives.is_empty() {
            return;
        }
        let wanted = Wanted { by, dependency };
        match self.options(&wanted.dependency).len() {
            0 | 1 => self.single.push_back(wanted),
            _ => self.several.push_back(wanted),
        }
    }

    fn run(&mut self) -> Result<(), SolveError> {
        loop {
            self.run_dependencies()?;
            let Some(wanted) = self.recommended.pop_front() else { return Ok(()) };
            // What is only recommended comes in with all it needs, or not at all.
            let mut attempt = self.clone();
            let before = attempt.solution.chosen.len();
            let recommended = std::mem::take(&mut attempt.recommended);
            attempt.want(wanted.by, wanted.dependency);
            let tried = attempt.run_dependencies().and_then(|()| attempt.check_conflicts());
            if tried.is_ok() && attempt.solution.chosen.len() > before {
                let new = std::mem::replace(&mut attempt.recommended, recommended);
                attempt.recommended.extend(new);
                *self = attempt;
            }
        }
    }

    fn run_dependencies(&mut self) -> Result<(), SolveError> {
        while let Some(wanted) = self.single.pop_front().or_else(|| self.several.pop_front()) {
            self.satisfy(wanted)?;
        }
        Ok(())
    }

    fn satisfy(&mut self, wanted: Wanted<'a>) -> Result<(), SolveError> {
        if wanted.dependency.alternatives.iter().any(|atom| self.satisfied_by(atom)) {
            return Ok(());
        }
        let options = self.options(&wanted.dependency);
        // The first that does not conflict with what is chosen; where all do, the first, for the error that follows.
        let option = match &options[..] {
            [] => return Err(self.unsatisfiable(&wanted)),
            [only] => only,
            several => several.iter().find(|(_, package)| !self.clashes(*package)).unwrap_or(&several[0]),
        };
        self.choose(option.0, option.1, Some((wanted.by, wanted.dependency.to_string())))
    }

    /// Whether what is chosen or installed satisfies an alternative.
    fn satisfied_by(&self, atom: &Atom) -> bool {
        let real = self.solution.chosen.get(&*atom.name).map(|chosen| chosen.package);
        let real = real.or_else(|| self.installed.get(&*atom.name).copied());
        if real.is_some_and(|package| self.admits(atom, package)) {
            return true;
        }
        // `name:any` asks for the package itself.
        atom.architecture.as_deref() != Some("any")
            && self
                .provided
                .get(&atom.name)
                .is_some_and(|list| list.iter().any(|(_, version)| atom.admits_provided(version.as_ref())))
    }

    fn admits(&self, atom: &Atom, package: Package<'_>) -> bool {
        let architecture = match atom.architecture.as_deref() {
            None | Some("native") => true,
            Some("any") => package.multi_arch() == MultiArch::Allowed || package.multi_arch() == MultiArch::Foreign,
            Some(named) => named == self.request.architecture,
        };
        architecture && package.version().is_some_and(|version| atom.admits(&version))
    }

    /// What could be chosen for a dependency, the best first.
    fn options(&self, dependency: &Dependency) -> Vec<(usize, Package<'a>)> {
        let mut options: Vec<(usize, Package<'a>)> = Vec::new();
        for atom in &dependency.alternatives {
            for option in self.options_of(atom) {
                if !options.iter().any(|(_, other)| other.name() == option.1.name()) {
                    options.push(option);
                }
            }
        }
        options
    }

    fn options_of(&self, atom: &Atom) -> Vec<(usize, Package<'a>)> {
        let mut options = Vec::new();
        let real = self.candidate(&atom.name).filter(|(_, package)| self.admits(atom, *package));
        options.extend(real.filter(|(_, package)| !self.installed.contains_key(package.name())));
        if atom.architecture.as_deref() == Some("any") {
            return options;
        }
        let names: BTreeSet<&str> = self
            .request
            .suites
            .iter()
            .flat_map(|suite| suite.packages.providers(&atom.name))
            .map(Package::name)
            .filter(|name| !self.installed.contains_key(name) && !self.request.without.contains(*name))
            .collect();
        let mut providers: Vec<(usize, Package<'a>)> = names
            .into_iter()
            .filter_map(|name| self.candidate(name))
            .filter(|(_, package)| {
                // Another version than the candidate may be the one that provides it.
                let provided = parse_atoms(package.provides()).unwrap_or_default();
                provided.iter().any(|provided| {
                    provided.name == atom.name
                        && atom.admits_provided(provided.version.as_ref().map(|(_, version)| version))
                })
            })
            .collect();
        providers.sort_by_key(|(_, package)| (!package.essential(), package.priority(), package.name()));
        options.extend(providers);
        options
    }

    fn unsatisfiable(&self, wanted: &Wanted<'a>) -> SolveError {
        let mut reasons = Vec::new();
        for atom in &wanted.dependency.alternatives {
            if let Some(installed) = self.installed.get(&*atom.name) {
                return SolveError::Upgrade {
                    chain: self.chain(wanted.by),
                    wanted: atom.to_string(),
                    package: atom.name.to_string(),
                    installed: installed.version_text().to_owned(),
                };
            }
            reasons.push(match self.candidate(&atom.name) {
                Some((_, package)) => format!("{} is {}", atom.name, package.version_text()),
                None if self.pins.contains_key(&*atom.name) => format!("{} is pinned to what is not there", atom.name),
                None => match self.all().any(|package| package.name() == &*atom.name) {
                    true => format!("{} is not for {}", atom.name, self.request.architecture),
                    false => format!("no suite has {}", atom.name),
                },
            });
        }
        SolveError::Unsatisfiable {
            chain: self.chain(wanted.by),
            package: wanted.by.to_owned(),
            dependency: wanted.dependency.to_string(),
            reasons: reasons.join(", "),
        }
    }

    /// How a package came in: `nginx → nginx-common → iproute2`.
    fn chain(&self, name: &str) -> String {
        chain(&self.solution, name)
    }

    /// Whether a package conflicts with what is chosen or installed, or that with it.
    fn clashes(&self, package: Package<'a>) -> bool {
        let others = self.solution.chosen.values().map(|chosen| chosen.package).chain(self.installed.values().copied());
        let mut others = others.filter(|other| other.name() != package.name());
        others.any(|other| hits(package, other).is_some() || hits(other, package).is_some())
    }

    fn check_conflicts(&self) -> Result<(), SolveError> {
        let all: BTreeMap<&str, Package<'a>> = self
            .installed
            .iter()
            .map(|(name, package)| (*name, *package))
            .chain(self.solution.chosen.iter().map(|(name, chosen)| (*name, chosen.package)))
            .collect();
        for package in all.values() {
            let wrong = |source| SolveError::Relation { package: package.name().to_owned(), source };
            for (word, field) in [("conflicts with", package.conflicts()), ("breaks", package.breaks())] {
                for atom in parse_atoms(field).map_err(wrong)? {
                    let providers = self.provided.get(&atom.name).into_iter().flatten().map(|(name, _)| *name);
                    let others: BTreeSet<&str> = providers.chain(std::iter::once(&*atom.name)).collect();
                    for other in others.into_iter().filter_map(|name| all.get(name)) {
                        // What the base has among itself is the base's business.
                        let new =
                            [package.name(), other.name()].iter().any(|name| self.solution.chosen.contains_key(name));
                        if new && other.name() != package.name() && atom_hits(&atom, *other) {
                            return Err(SolveError::Conflict {
                                first: self.chain(package.name()).into(),
                                second: self.chain(other.name()).into(),
                                package: package.name().into(),
                                other: other.name().into(),
                                word,
                                relation: atom.to_string().into(),
                            });
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// How a package came in: `nginx → nginx-common → iproute2`; what the base has is said to be its.
pub fn chain(solution: &Solution<'_>, name: &str) -> String {
    let mut names = vec![name];
    let mut at = name;
    while let Some((by, _)) = solution.chosen.get(at).and_then(|chosen| chosen.because.as_ref()) {
        if names.contains(by) {
            break;
        }
        names.push(by);
        at = by;
    }
    names.reverse();
    let chain = names.join(" → ");
    if solution.chosen.contains_key(name) { chain } else { format!("{chain} (of the base)") }
}

/// The relation by which one package refuses another.
fn hits(package: Package<'_>, other: Package<'_>) -> Option<Atom> {
    let atoms = [package.conflicts(), package.breaks()].map(|field| parse_atoms(field).unwrap_or_default());
    atoms.into_iter().flatten().find(|atom| atom_hits(atom, other))
}

fn atom_hits(atom: &Atom, other: Package<'_>) -> bool {
    if *atom.name == *other.name() {
        return other.version().is_some_and(|version| atom.admits(&version));
    }
    parse_atoms(other.provides()).unwrap_or_default().iter().any(|provided| {
        provided.name == atom.name && atom.admits_provided(provided.version.as_ref().map(|(_, version)| version))
    })
}

/// How many letters must change, come or go to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index from lines such as `name version; Depends: x; Provides: y`.
    pub(super) fn index(text: &str) -> Packages {
        let mut stanzas = String::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (head, fields) = line.split_once(';').unwrap_or((line, ""));
            let (name, version) = head.trim().split_once(' ').unwrap_or((head.trim(), "1"));
            stanzas.push_str(&format!(
                "Package: {name}\nVersion: {version}\nSize: 1\nFilename: pool/{name}.deb\nSHA256: {}\n",
                "00".repeat(32)
            ));
            if !fields.contains("Architecture:") {
                stanzas.push_str("Architecture: amd64\n");
            }
            for field in fields.split(';').filter(|field| !field.trim().is_empty()) {
                stanzas.push_str(&format!("{}\n", field.trim()));
            }
            stanzas.push('\n');
        }
        Packages::read(stanzas.as_bytes()).unwrap()
    }

    struct Case<'a> {
        suites: Vec<(&'a str, &'a str)>,
        installed: &'a str,
        roots: &'a str,
        without: &'a str,
        preferred: &'a str,
        essential: bool,
        recommends: bool,
    }

    const NOTHING: Case<'_> = Case {
        suites: Vec::new(),
        installed: "",
        roots: "",
        without: "",
        preferred: "",
        essential: false,
        recommends: false,
    };

    fn run(case: &Case<'_>) -> Result<String, String> {
        let indexes: Vec<Packages> = case.suites.iter().map(|(_, text)| index(text)).collect();
        let suites: Vec<Suite<'_>> = case
            .suites
            .iter()
            .zip(&indexes)
            .map(|((name, _), packages)| Suite {
                names: vec![(*name).to_owned()],
                priority: if name.contains("backports") { 100 } else { 500 },
                packages,
            })
            .collect();
        let roots: Vec<Root> = case.roots.split_whitespace().map(|root| root.parse().unwrap()).collect();
        let preferred = case.preferred.split_whitespace().filter_map(|pair| pair.split_once('='));
        let preferred = preferred.map(|(name, version)| (name.to_owned(), version.to_owned())).collect();
        let request = Request {
            architecture: "amd64",
            suites: &suites,
            installed: &index(case.installed),
            roots: &roots,
            essential: case.essential,
            recommends: case.recommends,
            without: &case.without.split_whitespace().map(str::to_owned).collect(),
            preferred: &preferred,
        };
        let solution = solve(&request).map_err(|error| error.to_string())?;
        let chosen = solution.chosen.values().map(|chosen| match chosen.package.version_text() {
            "1" => chosen.package.name().to_owned(),
            version => format!("{}={version}", chosen.package.name()),
        });
        Ok(chosen.collect::<Vec<_>>().join(" "))
    }

    #[track_caller]
    fn check(suite: &str, roots: &str, expected: &str) {
        let case = Case { suites: vec![("main", suite)], roots, ..NOTHING };
        assert_eq!(run(&case).unwrap_or_else(|error| format!("! {error}")), expected);
    }

    #[test]
    fn alternatives_and_providers() {
        check("a; Depends: b | c\nb\nc", "a", "a b");
        check("a; Depends: b | c\nb\nc", "a c", "a c");
        check("a; Depends: nothing | c\nc", "a", "a c");
        // What leaves no choice is followed first.
        check("a; Depends: b | c, d\nb\nc\nd; Depends: c", "a", "a c d");
        // A package before its providers, then Essential, priority, name.
        check("a; Depends: v\nv\np; Provides: v", "a", "a v");
        check("a; Depends: v\ng; Provides: v\nm; Provides: v; Priority: required", "a", "a m");
        check("a; Depends: v\ng; Provides: v\nm; Provides: v", "a", "a g");
        check("a; Depends: v\ng; Provides: v\nm; Provides: v; Essential: yes", "a", "a m");
        check("a; Depends: v (>= 2)\ng; Provides: v\nm; Provides: v (= 2)", "a", "a m");
        check("a; Depends: p:any\np; Multi-Arch: allowed", "a", "a p");
        // Cycles end.
        check("a; Depends: b\nb; Pre-Depends: a", "a", "a b");
        // A choice avoids what conflicts with what is there.
        check("a; Depends: b | c\nb; Conflicts: a\nc", "a", "a c");
        check("libv1\nlibv1t64; Provides: libv1 (= 1)", "libv1", "libv1");
        check("libv1t64; Provides: libv1 (= 1)", "libv1", "libv1t64");
    }

    #[test]
    fn errors_say_how_it_came_to_them() {
        check("a", "b", "! no suite has a package b (is it a?)");
        check("nginx", "ngnix", "! no suite has a package ngnix (is it nginx?)");
        check(
            "a; Depends: b\nb; Depends: c (>= 2) | d\nc",
            "a",
            "! a → b needs c (>= 2) | d, which cannot be had: c is 1, no suite has d",
        );
        check("p; Provides: v\nq; Provides: v", "v", "! v is no package but provided by several: name one of p, q");
        check("p; Provides: v\nq; Provides: v", "v q", "q");
        check("a; Depends: b\nb; Conflicts: c\nc", "a c", "! a → b and c cannot be together: b conflicts with c");
        check("a; Breaks: c (<< 2)\nc", "a c", "! a and c cannot be together: a breaks c (<< 2)");
        check(
            "a; Conflicts: v; Provides: v\nc; Provides: v",
            "a c",
            "! a and c cannot be together: a conflicts with v",
        );
        check("a; Conflicts: v; Provides: v", "a", "a");
        check("a", "a=2", "! a=2 is not available: there is 1 (amd64, main)");
        check("a; Architecture: arm64", "a", "! a is not available: there is 1 (arm64, main)");
        check(
            "a",
            "a:arm64",
            "! a:arm64 is not available: the image is for amd64, and packages of other architectures are not mixed in",
        );
        check("a; Depends: b [x]", "a", "! a relation of package a is refused");
    }

    #[test]
    fn suites_and_pins() {
        let suites = vec![("main", "a 1\nb 1"), ("main-security", "a 1.1"), ("main-backports", "a 2\nc 2")];
        let run = |roots: &str| run(&Case { suites: suites.clone(), roots, ..NOTHING });
        assert_eq!(run("a").unwrap(), "a=1.1");
        assert_eq!(run("a=1 b").unwrap(), "a b");
        assert_eq!(run("a/main").unwrap(), "a");
        assert_eq!(run("a/main-backports").unwrap(), "a=2");
        assert_eq!(run("c").unwrap(), "c=2");
        assert!(run("b/main-security").unwrap_err().contains("there is 1 (amd64, main)"));
    }

    #[test]
    fn versions_of_before_stay_where_they_are_there_and_fit_the_pins() {
        let suites = vec![("main", "a 1; Depends: b\na 2; Depends: b\nb 1\nb 2"), ("main-backports", "a 3")];
        let run = |roots, preferred| run(&Case { suites: suites.clone(), roots, preferred, ..NOTHING });
        assert_eq!(run("a", "").unwrap(), "a=2 b=2");
        assert_eq!(run("a", "a=1").unwrap(), "a b=2");
        assert_eq!(run("a", "a=3 b=1").unwrap(), "a=3");
        assert_eq!(run("a", "a=9 b=1").unwrap(), "a=2 b");
        assert_eq!(run("a=2", "a=1 b=1").unwrap(), "a=2 b");
        assert_eq!(run("a/main-backports", "a=1").unwrap(), "a=3");
    }

    #[test]
    fn what_the_base_has_counts() {
        let suite = "a; Depends: b (>= 1), v\nb 2\nv\nc; Depends: b (>= 2)\nd; Conflicts: b";
        let case = |roots| Case { suites: vec![("main", suite)], installed: "b 1\np; Provides: v", roots, ..NOTHING };
        assert_eq!(run(&case("a b")).unwrap(), "a");
        let error = run(&case("c")).unwrap_err();
        assert_eq!(
            error,
            "c needs b (>= 2), and the base has b 1: packages of the base are not upgraded, so use a newer base"
        );
        assert!(run(&case("b=2")).unwrap_err().contains("the base has b 1"));
        assert_eq!(run(&case("d")).unwrap_err(), "d and b (of the base) cannot be together: d conflicts with b");
    }

    #[test]
    fn essential_recommends_without() {
        let suite = "a; Depends: dpkg, x | dpkg; Recommends: r, broken, gone\nr; Depends: s; Recommends: t\ns\nt\nx\ndpkg\nbroken; Depends: gone\nbash; Essential: yes";
        let case = |essential, recommends, without| Case {
            suites: vec![("main", suite)],
            roots: "a",
            essential,
            recommends,
            without,
            ..NOTHING
        };
        assert_eq!(run(&case(true, false, "")).unwrap(), "a bash dpkg");
        assert_eq!(run(&case(false, true, "")).unwrap(), "a dpkg r s t");
        assert_eq!(run(&case(false, false, "dpkg")).unwrap(), "a x");
        assert!(run(&case(false, false, "a")).unwrap_err().contains("both asked for"));
    }

    #[test]
    fn roots_are_read_and_written() {
        for text in ["a", "a=1:2-3", "a/trixie-backports", "libc6:amd64"] {
            assert_eq!(text.parse::<Root>().unwrap().to_string(), text);
        }
        for bad in ["", "a=", "a/", "a b", "../a", "a/b/c", "a=1=2", "a:", "a;b"] {
            assert!(bad.parse::<Root>().is_err(), "{bad}");
        }
    }
}
