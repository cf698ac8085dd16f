//! `report`: one page about images, the same for the same images, with nothing in it that an image could make it do.

use serde_json::Value;

use super::deb::Deb;
use super::fake_registry::FakeRegistry;
use super::mirror::Mirrored;
use super::support::{Base, Project, Tar};

const TWO: &str = r#"
[variants.docker]
[variants.k8s]
user = "1001:1001"
[images.base]
from = "scratch"
publish = false
[[images.base.layers]]
name = "libraries"
copy = ["lib"]
to = "/lib"
[images.app]
from = "base"
variants = ["docker", "k8s"]
env = { PORT = "8080" }
[[images.app.layers]]
name = "code"
copy = ["app"]
to = "/"
[images.job]
from = "base"
[[images.job.layers]]
files = { "/job" = "job\n" }
"#;

fn project() -> Project {
    let project = Project::new(TWO);
    project.write("ctx/lib/one", "x".repeat(5000)).write("ctx/lib/two", "y").write("ctx/app/main.py", "code");
    project
}

/// What the page's script reads.
#[track_caller]
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").expect("data");
    let (json, _) = rest.split_once("</script>").expect("the end of the data");
    serde_json::from_str(json).expect("JSON")
}

/// The cells of the rows of a table's body, without tags.
fn rows(page: &str, class: &str) -> Vec<Vec<String>> {
    let tags = regex::Regex::new("<[^>]*>").expect("a pattern");
    let (_, table) = page.split_once(&format!("<table class=\"{class}\">")).expect("the table");
    let (_, body) = table.split_once("<tbody>").expect("its body");
    let (body, _) = body.split_once("</tbody>").expect("its end");
    let cells = |row: &str| -> Vec<String> {
        row.split("</td>")
            .flat_map(|part| part.split("</th>"))
            .map(|cell| tags.replace_all(cell, "").trim().to_owned())
            .collect()
    };
    body.split("</tr>").filter(|row| row.contains("<t")).map(cells).collect()
}

#[test]
fn the_images_of_the_recipe_are_built_and_told_and_written_nowhere() {
    let project = project();
    let run = project.run(&["report"]).ok();
    assert_eq!(run.stdout(), "");
    assert!(run.stderr.contains("the report is in lapstrake-report.html (3 images"), "{}", run.stderr);
    assert!(!project.path("lapstrake-out").exists());
    let one = project.run(&["report", "--image", "job", "-o", "one.html"]).ok();
    assert!(one.stderr.contains("(1 image, "), "{}", one.stderr);
    let page = std::fs::read_to_string(project.path("lapstrake-report.html")).expect("the page");

    let images: Vec<Value> = data(&page)["platforms"][0]["images"].as_array().expect("images").clone();
    let names: Vec<&str> = images.iter().filter_map(|image| image[0].as_str()).collect();
    assert_eq!(names, ["app:docker", "app:k8s", "job"]);
    let matrix = rows(&page, "matrix");
    let has = |title: &str| -> Vec<String> {
        let row =
            matrix.iter().find(|row| row[0].starts_with(title)).unwrap_or_else(|| panic!("no {title}: {matrix:?}"));
        row[3..6].to_vec()
    };
    assert_eq!(has("libraries"), ["yes", "yes", "yes"]);
    assert_eq!(has("code"), ["yes", "yes", "no"]);
    let differ = rows(&page, "variants");
    assert!(differ.iter().any(|row| row[..3] == ["user", "–", "1001:1001"]), "{differ:?}");
    assert!(!differ.iter().any(|row| row[0] == "env PORT"), "what is the same in both is not told: {differ:?}");
    // One of the two unpacked files of the base, at its place below the image's node.
    let nodes = data(&page)["nodes"].as_array().expect("nodes").clone();
    assert!(nodes.iter().any(|node| node[0] == "one" && node[1] == 5000), "{nodes:?}");
}

#[test]
fn the_same_images_give_the_same_page() {
    let project = project();
    let first = project.run(&["report", "-o", "-"]).ok().stdout;
    let again = project.run(&["report", "-o", "-", "--cache-dir", "other"]).ok().stdout;
    assert!(first == again, "a cold cache and a warm one make two pages");
    project.run(&["report", "-o", "page.html"]).ok();
    assert!(std::fs::read(project.path("page.html")).expect("the page") == first, "a file is what standard output is");
}

#[test]
fn places_are_reported_as_they_are_and_compared_with_others() {
    let project = project();
    project.run(&["build", "-o", "oci:before"]).ok();
    project.write("ctx/app/main.py", "new");
    project.run(&["build", "-o", "archive:now.tar"]).ok();
    let page = project.run(&["report", "archive:now.tar", "--against", "oci:before", "-o", "-"]).ok().stdout();
    let matrix = rows(&page, "matrix");
    let told = |title: &str| matrix.iter().find(|row| row[0].starts_with(title)).expect("a layer")[0].clone();
    assert!(told("libraries").contains("already there"), "{matrix:?}");
    assert!(!told("code").contains("already there"), "{matrix:?}");
    assert!(page.contains("are at <code>oci:before</code> already"), "what is saved is said");
    let one = project.run(&["report", "archive:now.tar", "--image", "job", "-o", "-"]).ok().stdout();
    assert_eq!(data(&one)["platforms"][0]["images"].as_array().map(Vec::len), Some(1));

    let failure = project.run(&["report", "oci:nowhere", "-o", "-"]).fails(1);
    assert!(failure.contains("nowhere"), "{failure}");
    project.run(&["report", "archive:now.tar", "--locked"]).fails(2);
    assert!(!project.path("lapstrake-report.html").exists(), "nothing is written where there is nothing to tell");
}

/// What was pushed is told, and not what the recipe would make now.
#[test]
fn what_the_registry_holds_under_the_tags_of_the_recipe() {
    let registry = FakeRegistry::plain();
    let project = project();
    let two = ["docker", "k8s"].iter().fold(TWO.to_owned(), |recipe, variant| {
        recipe.replace(&format!("[variants.{variant}]"), &format!("[variants.{variant}]\ntags = [\"{variant}\"]"))
    });
    project.recipe(&format!("[defaults]\nrepository = \"{}/x/{{image}}\"\n{two}", registry.name()));
    project.run(&["report", "--registry", "-o", "-"]).fails(5);
    project.run(&["build", "--push", "app:k8s", "job"]).ok();
    project.write("ctx/app/main.py", "another, and longer");
    registry.clear_log();
    let run = project.run(&["report", "--registry", "-o", "-", "--cache-dir", "empty"]).ok();
    assert!(run.stderr.contains("app:docker is not in the registry: there is no "), "{}", run.stderr);
    assert!(!run.stdout().contains("no recipe"), "there is one");
    assert_eq!(registry.count("PUT", "") + registry.count("POST", ""), 0);
    let page = run.stdout();
    let images = data(&page)["platforms"][0]["images"].as_array().expect("images").clone();
    let names: Vec<&str> = images.iter().filter_map(|image| image[0].as_str()).collect();
    assert_eq!(names, ["app:k8s", "job"]);
    let nodes = data(&page)["nodes"].as_array().expect("nodes").clone();
    assert!(nodes.iter().any(|node| node[0] == "main.py" && node[1] == 4), "as it was pushed: {nodes:?}");
    project.run(&["report", "--registry", "--offline"]).fails(2);
    project.run(&["report", "--registry", "oci:x"]).fails(2);
}

#[test]
fn packages_are_listed_with_the_layer_that_has_them() {
    let mirrored = Mirrored::with([Deb::new("tool", "1.5").file("usr/share/tool/data", "tool\n")]);
    mirrored.app("[\"tool\"]");
    mirrored.run(&["lock"]).ok();
    let page = mirrored.run(&["report", "--locked", "-o", "-"]).ok().stdout();
    let packages = rows(&page, "packages sortable");
    let tool = packages.iter().find(|row| row[0] == "tool").unwrap_or_else(|| panic!("no tool: {packages:?}"));
    assert_eq!(tool[1..3], ["1.5", "Debian"]);
    assert!(!tool[4].is_empty(), "{tool:?}");
    let nodes = data(&page)["nodes"].as_array().expect("nodes").clone();
    assert!(nodes.iter().any(|node| node[0] == "tool 1.5"), "{nodes:?}");
    assert!(page.contains("newest release pinned"), "the lock's dates are told");
}

/// Names that would end the element they stand in, hide what follows them, or break the line.
#[test]
fn nothing_that_an_image_says_becomes_part_of_the_page() {
    let project = Project::empty();
    let name = "</script><img src=x onerror=alert(1)>";
    let layer = Tar::new().file("a</script><b>/x", 0o644, "x").file("b\u{202e}\n<!--", 0o644, "yy").end();
    let settings = serde_json::json!({
        "Env": [format!("X={name}")], "User": name, "Labels": { "org.opencontainers.image.base.name": name },
    });
    Base::of(layer).settings(settings).layout(&project.path("evil"));
    let page = project.run(&["report", "oci:evil", "-o", "-"]).ok().stdout();
    assert!(!page.contains("<img") && !page.contains("<b>") && !page.contains('\u{202e}'));
    assert_eq!(page.matches("</script>").count(), 2, "the data's and the script's own");
    assert!(page.contains("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;"), "it is told all the same");
    let nodes = data(&page)["nodes"].as_array().expect("nodes").clone();
    assert!(nodes.iter().any(|node| node[0] == "a</script><b>"), "{nodes:?}");
    for attribute in ["src=\"", "href=\"http", "url("] {
        assert!(!page.contains(attribute), "the page asks for nothing: {attribute}");
    }
}

/// The page of very many files is not very long, and says what it leaves out.
#[test]
fn the_page_of_many_files_stays_small() {
    let project = Project::empty();
    let mut tar = Tar::new();
    for number in 0..60_000_u32 {
        tar = tar.file(
            &format!("data/{:03}/a-file-with-a-name-{number}", number % 600),
            0o644,
            &"x".repeat(number as usize % 40),
        );
    }
    Base::of(tar.end()).layout(&project.path("many"));
    let page = project.run(&["report", "oci:many", "-o", "-"]).ok().stdout();
    assert!(page.len() < 3 << 20, "{} bytes", page.len());
    assert!(page.contains("are put together, so that this page stays small"));
    let data = data(&page);
    let root = data["platforms"][0]["images"][0][1].as_u64().expect("a root") as usize;
    let expected: u64 = (0..60_000_u64).map(|number| number % 40).sum();
    assert_eq!(data["nodes"][root][1], expected, "nothing is lost");
    assert_eq!(data["nodes"][root][2], 60_000);
}

/// Would fail if the page were refused like an output, or packed like any other file.
#[test]
fn a_page_in_the_context_is_no_part_of_the_images() {
    let project = Project::empty();
    let recipe = "recipe = 1\n[project]\nname = \"test\"\nplatforms = [\"linux/amd64\"]\n[images.app]\nfrom = \"scratch\"\n\
                  [[images.app.layers]]\ncopy = [\".\"]\nexclude = [\"home\", \"tmp\", \"docs/*.html\"]\nto = \"/\"\n";
    project.write("lapstrake.toml", recipe).write("main.py", "main").write("docs/readme", "read");
    let before = project.run(&["build"]).ok().digests();
    project.run(&["report"]).ok();
    assert!(project.path("lapstrake-report.html").exists());
    assert_eq!(project.run(&["build"]).ok().digests(), before, "the page is left out");
    let first = project.run(&["report", "-o", "-"]).ok().stdout;
    project.run(&["report", "-o", "page.html"]).ok();
    project.run(&["report", "-o", "page.html"]).ok();
    assert!(std::fs::read(project.path("page.html")).expect("the page") == first, "it is not about itself");
    // Who names it has it.
    project.write("lapstrake.toml", recipe.replace("copy = [\".\"]", "copy = [\"lapstrake-report.html\"]"));
    project.run(&["build", "-o", "oci:out"]).ok();
    let listed = project.run(&["inspect", "--files", "oci:out"]).ok().stdout();
    assert!(listed.contains("lapstrake-report.html"), "{listed}");
}
