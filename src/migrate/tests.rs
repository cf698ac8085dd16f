//! Dockerfiles and the recipes that come of them, whole: the snapshots beside this file are read by people in reviews.

use proptest::prelude::*;

use super::*;
use crate::recipe::{self, Inputs};

/// What is there, by path; directories end with a slash.
struct Files(&'static [&'static str]);

impl Context for Files {
    fn kind(&self, path: &str) -> Option<FileKind> {
        let path = path.trim_end_matches('/');
        let below = self.0.iter().any(|file| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')));
        match self.0.contains(&path) {
            true => Some(FileKind::File),
            false => below.then_some(FileKind::Directory),
        }
    }
}

const CONTEXT: Files = Files(&[
    "requirements.txt",
    "pyproject.toml",
    "uv.lock",
    "run.sh",
    "src/",
    "src/main.py",
    "scripts/start.sh",
    "app/",
    "conf.d/",
    "dist/",
    "company.crt",
    "data.tar.gz",
]);

fn input(name: &str, text: &str) -> Input {
    Input { name: name.to_owned(), text: text.to_owned(), prefix: String::new() }
}

fn options() -> Options {
    Options { name: "shop".to_owned(), ..Options::default() }
}

fn migrated(files: &[(&str, &str)]) -> Migration {
    let inputs: Vec<Input> = files.iter().map(|(name, text)| input(name, text)).collect();
    migrate(&inputs, &CONTEXT, &options()).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Lapstrake takes what it makes.
fn taken(recipe: &str) {
    if let Err(error) = recipe::parse("lapstrake.toml", recipe, &Inputs::default()) {
        panic!("{error}\n{recipe}");
    }
}

/// The images of a recipe that comes of one Dockerfile of these lines.
fn fragment(lines: &str) -> String {
    let text = if lines.contains("FROM ") { lines.to_owned() } else { format!("FROM debian:13-slim\n{lines}") };
    let migration = migrated(&[("Dockerfile", &text)]);
    taken(&migration.recipe);
    let after = migration.recipe.split_once("# platforms  = [\"linux/amd64\", \"linux/arm64\"]\n").expect("the head").1;
    // What is said of the base is the same in most.
    let mut shown: String = after
        .lines()
        .filter(|line| {
            !line.starts_with("# or Debian packages alone")
                && !line.starts_with("#   debian = {")
                && *line != "# from Dockerfile"
        })
        .map(|line| format!("{line}\n"))
        .collect();
    for (file, text) in &migration.files {
        shown.push_str(&format!("--- {file}\n{text}"));
    }
    shown.trim().to_owned()
}

macro_rules! fragments {
    ($($group:ident: [$($name:literal => $text:expr;)+])+) => {
        $(
            #[test]
            fn $group() {
                let mut out = String::new();
                for (name, text) in [$(($name, $text)),+] {
                    out.push_str(&format!("## {name}\n{}\n\n{}\n\n\n", text.trim_end(), fragment(text)));
                }
                insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
                    insta::assert_snapshot!(concat!("fragments_", stringify!($group)), out);
                });
            }
        )+
    };
}

fragments! {
    packages: [
        "apt-get as everybody writes it" => "RUN apt-get update && apt-get install -y --no-install-recommends curl tini=0.19.0-1 \\\n && rm -rf /var/lib/apt/lists/*";
        "apt-get with recommended packages" => "RUN apt-get update\nRUN DEBIAN_FRONTEND=noninteractive apt-get -yqq install jq libstdc++6:amd64";
        "a compiler for a time" => "RUN apt-get update && apt-get install -y --no-install-recommends gcc libpq5 && apt-get purge -y gcc && apt-get autoremove -y";
        "a suite of its own" => "RUN apt-get install --no-install-recommends -y -t trixie-backports git";
        "Alpine" => "FROM alpine:3.22\nRUN apk add --no-cache curl";
        "pip with a requirements file" => "WORKDIR /app\nCOPY requirements.txt .\nRUN pip install --no-cache-dir -U pip && pip install --no-cache-dir -r requirements.txt\nCOPY src src";
        "pip with names" => "RUN pip install --no-cache-dir 'flask>=3' gunicorn==23.0.0\nRUN pip install requests";
        "pip in a mounted context" => "RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,source=requirements.txt,target=/tmp/r.txt pip install -r /tmp/r.txt";
        "a project of the context" => "COPY . /app\nRUN pip install /app";
        "a virtual environment" => "ENV VIRTUAL_ENV=/opt/venv\nRUN python3 -m venv $VIRTUAL_ENV\nENV PATH=\"$VIRTUAL_ENV/bin:$PATH\"\nCOPY requirements.txt /tmp/\nRUN pip install -r /tmp/requirements.txt && rm /tmp/requirements.txt";
        "a virtual environment of another stage" => "FROM python:3.13 AS build\nRUN apt-get update && apt-get install -y gcc && make x\nRUN python -m venv /opt/venv\nENV PATH=/opt/venv/bin:$PATH\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\nFROM python:3.13-slim\nCOPY --from=build /opt/venv /opt/venv\nENV PATH=/opt/venv/bin:$PATH";
        "pip with a prefix" => "FROM python:3.13 AS build\nCOPY requirements.txt .\nRUN pip install --prefix=/install -r requirements.txt\nFROM python:3.13-slim\nCOPY --from=build /install /usr/local";
        "uv" => "COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /bin/uv\nWORKDIR /app\nCOPY pyproject.toml uv.lock ./\nRUN uv sync --frozen --no-dev --no-install-project\nCOPY src ./src\nRUN uv sync --frozen --no-dev\nENV PATH=\"/app/.venv/bin:$PATH\"";
        "poetry" => "RUN poetry install --only main";
        "certificates" => "COPY company.crt /usr/local/share/ca-certificates/company.crt\nRUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && update-ca-certificates";
    ]
    accounts: [
        "Debian's programs" => "RUN groupadd -g 1001 app && useradd -u 1001 -g app -m -s /bin/bash -c 'The app' app\nUSER app";
        "no numbers" => "RUN groupadd -r web && useradd -r -g web -G video,audio worker\nUSER worker";
        "adduser with long flags" => "RUN addgroup --system --gid 1001 app && adduser --system --uid 1001 --ingroup app --no-create-home --shell /usr/sbin/nologin app\nUSER 1001:1001";
        "busybox" => "RUN addgroup -g 1001 -S app && adduser -u 1001 -S -D -H -h /srv -s /sbin/nologin -G app app\nUSER app:app";
        "flags in one word" => "RUN useradd -rmu 1001 app && usermod -aG staff app";
        "an account of the base" => "RUN usermod -u 1000 www-data\nUSER www-data";
        "owner of copies" => "RUN useradd -u 1001 app\nCOPY --chown=app src /src\nCOPY --chown=1001:1001 run.sh /run.sh\nCOPY --chown=33:0 app /app";
        "chown of everything" => "RUN useradd -u 1001 app\nWORKDIR /app\nCOPY src src\nCOPY run.sh .\nRUN mkdir -p /data && chown -R app:app /app /data\nUSER app";
        "chown of a part" => "WORKDIR /app\nCOPY . .\nRUN chown -R 1001:1001 /app/src";
        "chown of what the base has" => "RUN chown -R www-data: /var/www";
    ]
    files: [
        "copies" => "WORKDIR /app\nCOPY src ./src\nCOPY run.sh requirements.txt ./\nCOPY conf.d /etc/conf.d/\nCOPY run.sh /usr/local/bin/start\nCOPY *.toml ./";
        "flags of copies" => "COPY --chmod=755 run.sh /run.sh\nCOPY --chmod=u=rwX,go=rX src /src\nCOPY --exclude=*.md --exclude=**/tests src /a/\nCOPY --parents src/*/x.py /b/\nCOPY --link app /app";
        "heredocs" => "ENV NAME=x\nCOPY <<EOF /etc/app.conf\nname = $NAME\nEOF\nCOPY <<'EOF' /etc/raw\n$NAME\nEOF";
        "archives and downloads" => "ADD data.tar.gz /data\nADD --checksum=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 https://example.com/tool /usr/local/bin/\nADD https://example.com/other /x\nADD https://example.com/x.git /x";
        "modes" => "WORKDIR /app\nCOPY scripts scripts\nCOPY run.sh .\nRUN chmod +x scripts/*.sh run.sh && chmod -R 750 /app/scripts";
        "directories and links" => "WORKDIR /app\nRUN mkdir -p /data/a /app && install -d -m 1777 /spool && ln -s /usr/bin/python3 /usr/local/bin/python && ln -sf /dev/stdout /var/log/x.log";
        "files from the shell" => "RUN echo 'a b' > /etc/x && echo more >> /etc/x && printf 'one\\ntwo\\n' > /etc/y && touch /etc/z";
        "cleaning up" => "COPY src /src\nRUN rm -rf /tmp/* /root/.cache ~/.npm && rm -rf /src/tests && find /src -name '__pycache__' -delete && rm -rf /usr/share/zoneinfo\nRUN rm -f /etc/x*";
        "capabilities" => "RUN setcap cap_net_bind_service=+ep /usr/bin/x";
        "an external image" => "COPY --from=nginx:1.28 /etc/nginx/nginx.conf /nginx.conf\nCOPY --from=busybox:1 /bin/busybox /bin/";
    ]
    settings: [
        "all of them" => "MAINTAINER Jane <jane@example.com>\nENV A=1 B=\"x $A\"\nENV C='$literal {git.short}'\nLABEL org.opencontainers.image.title=\"a b\" team=web\nEXPOSE 8080 53/udp 9000-9002\nVOLUME /data /cache\nSTOPSIGNAL QUIT\nWORKDIR /a\nWORKDIR b\nUSER 1001\nHEALTHCHECK --interval=30s --start-period=5s --retries=3 CMD curl -f http://localhost/ || exit 1\nENTRYPOINT [\"/init\"]\nCMD [\"serve\"]";
        "the shell" => "SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\nCMD python -m web --port 80";
        "a shell that hands over" => "CMD exec web --port $PORT";
        "an entrypoint after its command" => "HEALTHCHECK NONE\nCMD [\"a\"]\nENTRYPOINT [\"b\"]";
        "an entrypoint over a command of another stage" => "FROM scratch AS a\nCMD [\"a\"]\nFROM a\nENTRYPOINT [\"b\"]";
        "paths of the base" => "ENV PATH=/app/bin:$PATH PYTHONPATH=/app:$PYTHONPATH HOMES=${HOME:-/x}";
        "arguments" => "ARG TAG=13-slim\nFROM debian:${TAG}\nARG VERSION=1.0\nARG TARGETARCH\nENV VERSION=$VERSION\nLABEL version=$VERSION\nCOPY dist/$TARGETARCH/tool /usr/bin/tool\nWORKDIR /opt/$VERSION";
        "what is not turned" => "ONBUILD RUN x\nRUN curl -L https://me:hunter2@example.com/x | sh\nRUN if [ -f x ]; then rm x; fi\nRUN npm ci && npm run build\nRUN [\"/bin/x\", \"-y\"]\nRUN <<EOF\nset -e\nmkdir -p /x\nmake install\nEOF\nENV TOKEN=${X#a}\nWORKDIR $UNKNOWN/x";
        "a secret" => "ENV API_KEY=x";
        "a stage that is an image of its own" => "FROM debian:13 AS files\nCOPY src /out/src\nFROM scratch\nCOPY --from=files /out/src /src\nFROM debian:13 AS unused\nFROM files\nCOPY --from=1 /src/main.py /m.py";
        "a stage that is built elsewhere" => "FROM node:22 AS web\nWORKDIR /w\nCOPY app/ ./\nRUN npm run build\nFROM nginx:1.28\nCOPY --from=web /w/dist /usr/share/nginx/html";
    ]
}

/// Breaks when Dockerfiles that begin alike do not come to stand on one image, or one that has variants does not.
#[test]
fn several_dockerfiles() {
    let service = |name: &str, more: &str| {
        format!(
            "FROM python:3.13-slim\nENV A=1 B={name}\nRUN apt-get update && apt-get install -y --no-install-recommends tini\nWORKDIR /app\nCOPY src/{name} ./{name}\n{more}"
        )
    };
    let (web, work) = (
        service("web", "CMD [\"web\"]\nHEALTHCHECK CMD [\"x\"]\n"),
        service("work", "CMD [\"work\"]\nHEALTHCHECK CMD [\"x\"]\n"),
    );
    let (web_k8s, work_k8s) = (
        service("web", "RUN useradd -u 1001 -M app && chown -R app:app /app\nUSER app\nCMD [\"web\"]\n"),
        service("work", "RUN useradd -u 1001 -M app && chown -R app:app /app\nUSER app\nCMD [\"work\"]\n"),
    );
    let alike = migrated(&[("web/Dockerfile", &web), ("work/Dockerfile", &work)]);
    let twins = migrated(&[
        ("Dockerfile.web", &web),
        ("Dockerfile.web.k8s", &web_k8s),
        ("Dockerfile.work", &work),
        ("Dockerfile.work.k8s", &work_k8s),
    ]);
    let tags = migrated(&[
        ("Dockerfile.base", "FROM scratch\nENV A=1\nWORKDIR /srv\n"),
        (
            "api.Dockerfile",
            "ARG REG=r.example.com\nFROM $REG/shop-base:latest\nENV B=$A\nCOPY src ./src\nCOPY --from=shop-base /x /x\n",
        ),
    ]);
    for migration in [&alike, &twins, &tags] {
        taken(&migration.recipe);
    }
    assert_eq!(twins.images, ["web:docker", "web:k8s", "work:docker", "work:k8s"]);
    let out = [alike, twins, tags].map(|migration| migration.recipe).join("\n========\n\n");
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("several", out);
    });
}

/// The two systems of the design, from Dockerfiles in their usual style.
#[test]
fn the_two_systems() {
    let eveai = [
        ("Dockerfile.base", include_str!("../../testdata/dockerfiles/eveai/Dockerfile.base")),
        ("Dockerfile.app", include_str!("../../testdata/dockerfiles/eveai/Dockerfile.app")),
        ("Dockerfile.api", include_str!("../../testdata/dockerfiles/eveai/Dockerfile.api")),
        ("Dockerfile.workers", include_str!("../../testdata/dockerfiles/eveai/Dockerfile.workers")),
    ];
    let archon = [
        ("server/Dockerfile", include_str!("../../testdata/dockerfiles/archon/server/Dockerfile")),
        ("server/Dockerfile.k8s", include_str!("../../testdata/dockerfiles/archon/server/Dockerfile.k8s")),
        ("mcp/Dockerfile", include_str!("../../testdata/dockerfiles/archon/mcp/Dockerfile")),
        ("mcp/Dockerfile.k8s", include_str!("../../testdata/dockerfiles/archon/mcp/Dockerfile.k8s")),
        ("agents/Dockerfile", include_str!("../../testdata/dockerfiles/archon/agents/Dockerfile")),
        ("agents/Dockerfile.k8s", include_str!("../../testdata/dockerfiles/archon/agents/Dockerfile.k8s")),
        ("frontend/Dockerfile", include_str!("../../testdata/dockerfiles/archon/frontend/Dockerfile")),
        ("frontend/Dockerfile.k8s", include_str!("../../testdata/dockerfiles/archon/frontend/Dockerfile.k8s")),
    ];
    for (name, files) in [("eveai", &eveai[..]), ("archon", &archon[..])] {
        let inputs: Vec<Input> = files.iter().map(|(name, text)| input(name, text)).collect();
        let context = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
        struct Disk(std::path::PathBuf);
        impl Context for Disk {
            fn kind(&self, path: &str) -> Option<FileKind> {
                let found = self.0.join(path).metadata().ok()?;
                Some(if found.is_dir() { FileKind::Directory } else { FileKind::File })
            }
        }
        let migration = migrate(&inputs, &Disk(context), &Options { name: name.to_owned(), ..Options::default() });
        let migration = migration.unwrap_or_else(|wrong| panic!("{wrong}"));
        taken(&migration.recipe);
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, migration.recipe);
        });
    }
}

#[test]
fn bases_are_replaced() {
    let inputs = [input("Dockerfile", "FROM python:3.13-slim AS a\nFROM debian:13\nCOPY --from=a /x /x\n")];
    let with = |options: Options| migrate(&inputs, &(), &options).unwrap().recipe;
    let all = with(Options { from: Some("oci:base".to_owned()), ..options() });
    assert!(all.contains("from = \"oci:base\"") && !all.contains("docker.io"), "{all}");
    let bases = vec![("docker.io/library/debian:13".to_owned(), "scratch".to_owned())];
    let one = with(Options { bases, ..options() });
    assert!(one.contains("from = \"scratch\"") && one.contains("docker.io/library/python:3.13-slim"), "{one}");
}

/// Breaks when a recipe that is to have no base lacks what scripts of the Dockerfile run.
#[test]
fn what_a_base_has_is_in_the_recipe_where_there_is_to_be_none() {
    let made = |text: &str| {
        let options = Options { from: Some("scratch".to_owned()), ..options() };
        let recipe = migrate(&[input("Dockerfile", text)], &CONTEXT, &options).unwrap().recipe;
        taken(&recipe);
        recipe
    };
    insta::assert_snapshot!(made("FROM python:3.12-slim\nENV PATH=/app/bin:$PATH\nCOPY src /app\n"), @r##"
    # Made by `lapstrake init` from Dockerfile.
    # Comments name the lines; search for NOT TURNED. `lapstrake schema` tells editors the keys.
    recipe = 1

    [project]
    name = "shop"
    # repository = "registry.example.com/shop/{image}"   # where `lapstrake build --push` goes
    # tags       = ["latest", "{git.short:-dev}"]
    # platforms  = ["linux/amd64", "linux/arm64"]

    [debian]
    # where packages come from
    # (a guess: the name of the base does not say)
    suites = ["trixie", "trixie-updates", "trixie-security"]

    # from Dockerfile
    [images.shop]
    # Dockerfile:1: in the place of `python:3.12-slim`
    from = "scratch"
    env = { PATH = "/app/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" }

    # Dockerfile:1
    # what `python:3.12-slim` has and scripts need: leave out what none of yours runs
    # python3 is the suite's: 3.13 in trixie, 3.11 in bookworm
    [[images.shop.layers]]
    debian = { packages = ["base-files", "base-passwd", "bash", "ca-certificates", "coreutils", "dash", "libc-bin", "python3"], slim = true }

    # Dockerfile:1
    # `python:3.12-slim` has it by this name, too
    [[images.shop.layers]]
    symlinks = { "/usr/bin/python" = "python3" }

    # Dockerfile:3
    [[images.shop.layers]]
    copy = ["src/"]
    to = "/app"
    "##);
    let debian =
        made("FROM debian:12-slim AS a\nRUN apt-get install -y --no-install-recommends curl\nFROM a\nCMD [\"curl\"]\n");
    assert_eq!(debian.matches("\"base-files\"").count(), 1, "{debian}");
    assert!(debian.contains("\"dash\"") && debian.contains("\"bookworm\"") && !debian.contains("python"), "{debian}");
    let distroless = made("FROM gcr.io/distroless/static\nCOPY src /app\n");
    assert!(!distroless.contains("debian ="), "{distroless}");
}

#[test]
fn what_cannot_be_known_is_an_error() {
    for (files, said) in [
        (vec![("Dockerfile", "ARG BASE\nFROM $BASE\n")], "--build-arg"),
        (vec![("Dockerfile", "FROM Debian:13\n")], "reference"),
        (vec![("Dockerfile.a", "FROM shop-b\n"), ("Dockerfile.b", "FROM shop-a\n")], "circle"),
    ] {
        let inputs: Vec<Input> = files.iter().map(|(name, text)| input(name, text)).collect();
        let wrong = migrate(&inputs, &(), &options()).unwrap_err().to_string();
        assert!(wrong.contains(said) && wrong.contains("Dockerfile"), "{wrong}");
    }
}

#[test]
fn names_come_from_paths() {
    let names = |paths: &[&str]| {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        names::of(&paths, "shop")
            .into_iter()
            .map(|named| match named.variant {
                Some(variant) => format!("{}:{variant}", named.image),
                None => named.image,
            })
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(names(&["Dockerfile"]), "shop");
    assert_eq!(names(&["Dockerfile.prod"]), "shop", "a variant needs a twin");
    assert_eq!(names(&["Dockerfile", "Dockerfile.k8s"]), "shop:docker shop:k8s");
    assert_eq!(names(&["Dockerfile.base", "app.Dockerfile", "Dockerfile.app-k8s"]), "base app:docker app:k8s");
    assert_eq!(names(&["a/Dockerfile", "b/Dockerfile", "b/Dockerfile.dev"]), "a b:standard b:dev");
    assert_eq!(names(&["python/Dockerfile.server", "python/Dockerfile.k8s.server"]), "server:docker server:k8s");
    assert_eq!(names(&["docker/Dockerfile"]), "shop");
    assert_eq!(names(&["a/Dockerfile", "x/a/Dockerfile"]), "a a-2");
}

#[test]
fn the_starter_is_a_recipe() {
    taken(&starter("My shop!", &[]));
    assert!(starter("x", &["a/Dockerfile".to_owned()]).contains("lapstrake init --force a/Dockerfile"));
}

#[test]
fn a_directory_made_on_the_way_to_another_keeps_its_owner() {
    let text =
        fragment("RUN useradd -u 1001 app\nRUN mkdir -p /srv/x/logs && chown -R app:app /srv/x\nUSER app\nCMD [\"x\"]");
    let dirs = "dirs = { \"/srv/x/logs\" = { owner = \"app\" }, \"/srv/x\" = { owner = \"app\" } }";
    assert!(text.contains(dirs), "{text}");
}

proptest! {
    #[test]
    fn nothing_panics(lines in proptest::collection::vec((
        "(RUN|COPY|ENV|LABEL|ARG|CMD|ADD|USER|WORKDIR|EXPOSE|VOLUME|COPY --from=0|COPY --chown=a|RUN useradd|RUN chown|RUN chmod|RUN pip install|RUN rm|RUN mkdir|RUN apt-get install|RUN find|RUN uv|RUN adduser)",
        "[ -~é]{0,30}",
    ), 0..8)) {
        let mut text = "FROM debian:13 AS x\nRUN y\nFROM debian:13\n".to_owned();
        for (word, rest) in &lines {
            text.push_str(&format!("{word} {rest}\n"));
        }
        let _ = migrate(&[input("Dockerfile", &text)], &CONTEXT, &options());
    }
}
