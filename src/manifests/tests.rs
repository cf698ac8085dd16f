use proptest::prelude::*;

use super::*;

const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const OTHER: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

fn pins() -> Pins {
    let pin = |image: &str, repository: &str, tags: &[&str], digest: &str| Pin {
        image: Some(image.to_owned()),
        repository: Some(repository.parse().unwrap()),
        tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
        digest: digest.parse().unwrap(),
        is_alone: image == "web",
    };
    let known = vec![
        pin("web", "r.io/shop/web", &["latest", "v1"], DIGEST),
        pin("server/k8s", "r.io/shop/server", &["k8s"], OTHER),
        pin("server/docker", "r.io/shop/server", &["docker"], DIGEST),
    ];
    let images = known.iter().filter_map(|pin| pin.image.clone()).collect();
    Pins { known, images, ..Pins::default() }
}

fn pinned(file: &str, text: &str, tags: Tags) -> Pinned {
    Manifest::parse(file, text).unwrap().pinned(&pins(), tags).unwrap()
}

/// What becomes of a text, with short digests.
fn shown(file: &str, text: &str) -> String {
    pinned(file, text, Tags::Kept).text.replace(DIGEST, "WEB").replace(OTHER, "K8S")
}

#[track_caller]
fn check(file: &str, text: &str, expected: &str) {
    assert_eq!(shown(file, text), expected);
}

#[test]
fn pods_and_whatever_has_a_template() {
    check(
        "x.yaml",
        "# kept\napiVersion: v1\nkind: Pod\nmetadata:\n  annotations: {image: r.io/shop/web:v1}\nspec:\n  initContainers:\n  - image: 'r.io/shop/server:k8s'   # why\n    name: a\n  containers:\n    - {name: b, image: r.io/shop/web:v1}\n    - name: c\n      image:   \"r.io/shop/web\"\n  ephemeralContainers:\n  - image: nginx:1\n---\napiVersion: batch/v1\nkind: CronJob\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n          - image: r.io/shop/web:latest@sha256:3333333333333333333333333333333333333333333333333333333333333333\n          volumes:\n          - image: {reference: r.io/shop/web:v1, pullPolicy: Always}\n...\n",
        "# kept\napiVersion: v1\nkind: Pod\nmetadata:\n  annotations: {image: r.io/shop/web:v1}\nspec:\n  initContainers:\n  - image: 'r.io/shop/server:k8s@K8S'   # why\n    name: a\n  containers:\n    - {name: b, image: r.io/shop/web:v1@WEB}\n    - name: c\n      image:   \"r.io/shop/web@WEB\"\n  ephemeralContainers:\n  - image: nginx:1\n---\napiVersion: batch/v1\nkind: CronJob\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n          - image: r.io/shop/web:latest@WEB\n          volumes:\n          - image: {reference: r.io/shop/web:v1@WEB, pullPolicy: Always}\n...\n",
    );
}

#[test]
fn lists_and_json() {
    check(
        "x.json",
        "{\"apiVersion\":\"v1\",\"kind\":\"List\",\n\t\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{\n\t\t\"containers\":[{\"image\":\"r.io/shop/web:v1\"}]}}]}\n",
        "{\"apiVersion\":\"v1\",\"kind\":\"List\",\n\t\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{\n\t\t\"containers\":[{\"image\":\"r.io/shop/web:v1@WEB\"}]}}]}\n",
    );
}

#[test]
fn services_of_compose_and_what_they_merge() {
    check(
        "compose.yaml",
        "x-app: &app\n  image: r.io/shop/web:v1\nx-ref: &ref r.io/shop/server:k8s\nservices:\n  a:\n    <<: *app\n  b: {<<: [*app], command: [x]}\n  c:\n    image: *ref\n  d:\n    image: r.io/shop/web:${TAG:-v1}\nvolumes:\n  v: {image: r.io/shop/web:v1}\n",
        "x-app: &app\n  image: r.io/shop/web:v1@WEB\nx-ref: &ref r.io/shop/server:k8s@K8S\nservices:\n  a:\n    <<: *app\n  b: {<<: [*app], command: [x]}\n  c:\n    image: *ref\n  d:\n    image: r.io/shop/web:${TAG:-v1}\nvolumes:\n  v: {image: r.io/shop/web:v1}\n",
    );
}

#[test]
fn entries_of_kustomizations() {
    check(
        "base/kustomization.yaml",
        "images:\n- name: web   # ours\n  newName: r.io/shop/web\n  newTag: v1  # moves\n- name: r.io/shop/server\n  newTag: \"k8s\"\n  digest: sha256:00\n- {name: x, newName: r.io/shop/web}\n- newName: lapstrake://server/k8s\n  name: server",
        "images:\n- name: web   # ours\n  newName: r.io/shop/web\n  newTag: v1  # moves\n  digest: WEB\n- name: r.io/shop/server\n  newTag: \"k8s\"\n  digest: sha256:00\n- {name: x, newName: r.io/shop/web, digest: WEB}\n- newName: r.io/shop/server\n  name: server\n  digest: K8S",
    );
    check(
        "k.yaml",
        "apiVersion: kustomize.config.k8s.io/v1beta1\r\nkind: Kustomization\r\nimages:\r\n  - name: r.io/shop/web\r\n    newTag: v1\r\n    digest: \"sha256:3333333333333333333333333333333333333333333333333333333333333333\"\r\n  - name: r.io/shop/server\r\n    newTag: k8s\r\n",
        "apiVersion: kustomize.config.k8s.io/v1beta1\r\nkind: Kustomization\r\nimages:\r\n  - name: r.io/shop/web\r\n    newTag: v1\r\n    digest: \"WEB\"\r\n  - name: r.io/shop/server\r\n    newTag: k8s\r\n    digest: K8S\r\n",
    );
}

#[test]
fn values_of_helm_in_their_forms() {
    check(
        "values.yaml",
        "services: {a: {image: {repository: r.io/shop/web, tag: v1}}}\nimage: r.io/shop/web:v1\nweb:\n  image:\n    registry: r.io\n    repository: shop/web\n    tag: v1\n    digest: \"\"\nold:\n  image:\n    repository: r.io/shop/web\n    tag: \"\"\nserver: {image: {repository: lapstrake://server/k8s, tag: x}}\nnone:\n  image:\n    repository: r.io/shop/web\nother:\n  image:\n    repository: '{{ .Values.x }}'\n    tag: v1\n",
        "services: {a: {image: {repository: r.io/shop/web, tag: v1@WEB}}}\nimage: r.io/shop/web:v1@WEB\nweb:\n  image:\n    registry: r.io\n    repository: shop/web\n    tag: v1\n    digest: \"WEB\"\nold:\n  image:\n    repository: r.io/shop/web\n    tag: \"latest@WEB\"\nserver: {image: {repository: r.io/shop/server, tag: k8s@K8S}}\nnone:\n  image:\n    repository: r.io/shop/web\nother:\n  image:\n    repository: '{{ .Values.x }}'\n    tag: v1\n",
    );
}

#[test]
fn names_of_the_recipe_are_found_anywhere() {
    let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: lapstrake://web\n    args: [\"--helper\", \"lapstrake://server/k8s\"]\n  - image: lapstrake://server\n";
    let done = pinned("x.yaml", text, Tags::Kept);
    let expected = format!(
        "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: r.io/shop/web:latest@{DIGEST}\n    args: [\"--helper\", \"r.io/shop/server:k8s@{OTHER}\"]\n  - image: lapstrake://server\n"
    );
    assert_eq!(done.text, expected);
    let [left] = &done.left[..] else { panic!("{:?}", done.left) };
    assert!(left.is_own() && left.position == Position { line: 7, column: 12 }, "{left:?}");
    assert!(left.why.to_string().ends_with("; name the variant: server/docker, server/k8s"), "{}", left.why);
    let told = |name: &str| pinned("x.yaml", &format!("a: lapstrake://{name}\n"), Tags::Kept).left[0].why.to_string();
    assert!(told("wbe").ends_with("server/docker, server/k8s, web; did you mean `web`?"), "{}", told("wbe"));
    assert!(told("server:k8s").ends_with("; did you mean `server/k8s`?"), "{}", told("server:k8s"));
    assert!(told("postgres").ends_with("its images are server/docker, server/k8s, web"), "{}", told("postgres"));
}

#[test]
fn what_cannot_be_changed_byte_for_byte_is_left() {
    let text = "services:\n  a:\n    image: >-\n      r.io/shop/web:v1\n  b:\n    image: \"r.io/shop/\\x77eb:v1\"\n  c: {image: nginx}\n  d: {image: r.io/shop/web:v9}\n  e: {image: 'No Such'}\n";
    let done = pinned("compose.yaml", text, Tags::Kept);
    assert_eq!(done.text, text);
    let told: Vec<String> =
        done.left.iter().map(|left| format!("{} {} {:?}", left.position, left.reference, left.why)).collect();
    assert_eq!(told.len(), 5, "{told:#?}");
    assert!(told[0].ends_with("r.io/shop/web:v1 Form") && told[1].ends_with("r.io/shop/web:v1 Form"), "{told:#?}");
    assert!(
        told[2].contains("Unnamed") && told[3].contains("OtherTags") && told[4].contains("NoReference"),
        "{told:#?}"
    );
}

/// What is left of a text, which is all of it.
#[track_caller]
fn all_left(file: &str, text: &str) -> Vec<String> {
    let done = pinned(file, text, Tags::Kept);
    assert_eq!(done.text, text);
    done.left.iter().map(|left| format!("{} {:?}", left.reference, left.why)).collect()
}

#[test]
fn what_something_else_shares_is_left() {
    let other =
        "t: &t v1\na: {image: {repository: r.io/shop/web, tag: *t}}\nb: {image: {repository: r.io/o, tag: *t}}\n";
    assert_eq!(all_left("values.yaml", other), ["r.io/shop/web:v1 Shared", "r.io/o:v1 Unnamed"]);
    let label = "image: {repository: r.io/shop/web, tag: &v v1}\nmetadata: {labels: {v: *v}}\n";
    assert_eq!(all_left("values.yaml", label), ["r.io/shop/web:v1 Shared"]);
    let key = "image: &v r.io/shop/web:v1\nx: {*v : 1}\n";
    assert_eq!(all_left("values.yaml", key), ["r.io/shop/web:v1 Shared"]);
    let annotation = "image: &v r.io/shop/web:v1\nmetadata: {annotations: {v: *v}}\n";
    assert_eq!(all_left("values.yaml", annotation), ["r.io/shop/web:v1 Shared"]);
    let merged = "a: {image: &i {repository: r.io/shop/web, tag: v1}}\nb: {image: {<<: *i, repository: r.io/o}}\n";
    assert_eq!(all_left("values.yaml", merged)[0], "r.io/shop/web:v1 Shared");
    // One repository with two tags, and one of them for two repositories: none of the three can be.
    let chain = "images:\n- {name: a, newName: &w lapstrake://web, newTag: v1, digest: &d \"\"}\n- {name: b, newName: *w}\n- {name: r.io/o, digest: *d}\n";
    assert_eq!(all_left("kustomization.yaml", chain)[..2], ["lapstrake://web:v1 Shared", "lapstrake://web Shared"]);
}

#[test]
fn what_is_to_be_the_same_everywhere_is_shared() {
    check(
        "values.yaml",
        "a: {image: {repository: r.io/shop/web, tag: &t v1}}\nb: {image: {repository: r.io/shop/web, tag: *t}}\n",
        "a: {image: {repository: r.io/shop/web, tag: &t v1@WEB}}\nb: {image: {repository: r.io/shop/web, tag: *t}}\n",
    );
    // One repository, several tags: each is a place of its own.
    check(
        "values.yaml",
        "a: {image: {repository: &r r.io/shop/server, tag: k8s}}\nb: {image: {repository: *r, tag: docker}}\n",
        "a: {image: {repository: &r r.io/shop/server, tag: k8s@K8S}}\nb: {image: {repository: *r, tag: docker@WEB}}\n",
    );
    check(
        "values.yaml",
        "ref: &ref lapstrake://web\nimage: *ref\nargs: [--image, *ref]\n",
        "ref: &ref r.io/shop/web:latest@WEB\nimage: *ref\nargs: [--image, *ref]\n",
    );
}

#[test]
fn a_line_without_an_end_gets_that_of_the_others() {
    check(
        "kustomization.yaml",
        "images:\r\n- name: r.io/shop/web\r\n  newTag: v1",
        "images:\r\n- name: r.io/shop/web\r\n  newTag: v1\r\n  digest: WEB",
    );
}

#[test]
fn passwords_are_not_told() {
    let text = "a: {image: 'u:s3cret@r.io/x:1'}\nb: {image: 'https://u:s3cret@r.io/x:1'}\nc: {image: {repository: 'u:s3cret@r.io/x', tag: v1, digest: 'sha256:00'}}\n";
    let done = pinned("values.yaml", text, Tags::Kept);
    assert_eq!(done.left.len(), 3);
    assert!(!format!("{:?}", done.left).contains("s3cret"), "{:?}", done.left);
    assert!(done.left[0].reference.ends_with("***@r.io/x:1"), "{:?}", done.left);
}

/// A tag that says another commit beside today's digest would lie.
#[test]
fn a_tag_of_before_moves_with_the_digest() {
    let old = "sha256:3333333333333333333333333333333333333333333333333333333333333333";
    let both = |file: &str, text: &str, expected: &str| {
        check(file, &text.replace("OLD", old), expected);
    };
    both(
        "compose.yaml",
        "services: {a: {image: 'r.io/shop/web:abc@OLD'}}\n",
        "services: {a: {image: 'r.io/shop/web:latest@WEB'}}\n",
    );
    both(
        "values.yaml",
        "a: {image: {repository: r.io/shop/web, tag: abc, digest: 'OLD'}}\nb: {image: {repository: r.io/shop/web, tag: abc@OLD}}\n",
        "a: {image: {repository: r.io/shop/web, tag: latest, digest: 'WEB'}}\nb: {image: {repository: r.io/shop/web, tag: latest@WEB}}\n",
    );
    both(
        "kustomization.yaml",
        "images:\n- {name: web, newName: r.io/shop/web, newTag: abc, digest: 'OLD'}\n",
        "images:\n- {name: web, newName: r.io/shop/web, newTag: latest, digest: 'WEB'}\n",
    );
    // One of two images in a repository: which of them it was, nobody knows.
    let shared = format!("services: {{a: {{image: 'r.io/shop/server:abc@{old}'}}}}\n");
    let done = pinned("compose.yaml", &shared, Tags::Kept);
    assert_eq!(done.text, shared);
    assert!(done.left[0].is_unsure(), "{:?}", done.left);
    let dropped = format!("services: {{a: {{image: 'r.io/shop/web:abc@{old}'}}}}\n");
    assert!(pinned("compose.yaml", &dropped, Tags::Dropped).text.contains(&format!("'r.io/shop/web@{DIGEST}'")));
}

#[test]
fn a_tag_can_be_dropped() {
    let text = "services: {a: {image: \"r.io/shop/web:v1\"}}\n";
    let expected = format!("services: {{a: {{image: \"r.io/shop/web@{DIGEST}\"}}}}\n");
    assert_eq!(pinned("compose.yaml", text, Tags::Dropped).text, expected);
}

/// Where an image may stand in a Compose file, and what may be around it.
fn service() -> impl Strategy<Value = String> {
    let quote = prop_oneof![Just(""), Just("'"), Just("\"")];
    let comment = prop_oneof![Just(String::new()), "  # [ -~äöü]{0,20}"];
    let name = prop_oneof![Just("r.io/shop/web:v1"), Just("r.io/shop/web"), Just("nginx:1"), Just("r.io/shop/web:v7")];
    (quote, comment, name, 0..4usize, "[a-zäß ]{0,12}", 1..6usize).prop_map(|(quote, comment, name, form, text, gap)| {
        let gap = " ".repeat(gap);
        match form {
            0 => format!("    image:{gap}{quote}{name}{quote}{comment}\n    labels: ['{text}', \"\\u00e4{text}\"]\n"),
            1 => format!("    {{image:{gap}{quote}{name}{quote}, labels: [\"{text}\"]}}{comment}\n"),
            2 => format!("    labels:\n    - |\n      x{text}.\n      image: r.io/shop/web:v1\n    image:{gap}&a{gap}{quote}{name}{quote}{comment}\n"),
            _ => format!("    # {text}\n\n    !!map\n    image:{gap}!!str {quote}{name}{quote}{comment}\n"),
        }
    })
}

proptest! {
    /// Outside of the references that are meant, the bytes are the same.
    #[test]
    fn nothing_else_changes(services in prop::collection::vec(service(), 1..6), crlf: bool, bom: bool) {
        let mut text = if bom { "\u{feff}".to_owned() } else { String::new() };
        text.push_str("services:\n");
        for (number, service) in services.iter().enumerate() {
            text.push_str(&format!("  s{number}:\n{service}"));
        }
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        let done = pinned("compose.yaml", &text, Tags::Kept);
        prop_assert_eq!(done.text.replace(&format!("@{DIGEST}"), ""), text.clone());
        let meant = services.iter().filter(|one| {
            let last = one.lines().rfind(|line| line.trim_start().starts_with(['i', '{'])).unwrap();
            let word = last.split(['\'', '"', ' ', ',']).find(|word| word.starts_with("r.io") || word.starts_with("nginx"));
            matches!(word, Some("r.io/shop/web:v1" | "r.io/shop/web"))
        });
        prop_assert_eq!(done.changes.len(), meant.count());
        // Nothing is left to do.
        prop_assert!(pinned("compose.yaml", &done.text, Tags::Kept).changes.is_empty());
    }

    /// No text makes it panic.
    #[test]
    fn any_text_is_read_or_refused(text in "[-a:{}\\[\\]\"'|>&*!#\n\r\t ,?~<%@`0ä]{0,80}") {
        if let Ok(manifest) = Manifest::parse("values.yaml", &text)
            && let Ok(done) = manifest.pinned(&pins(), Tags::Kept)
        {
            prop_assert_eq!(done.text, text);
        }
    }
}

/// Takes minutes where each reference is compared with every image that is known.
#[test]
fn many_references_of_many_images_are_found() {
    let many = 30_000;
    let pin = |number: usize| Pin {
        image: None,
        repository: Some(format!("r.io/shop/x{number}").parse().unwrap()),
        tags: Some(["1".to_owned()].into()),
        digest: DIGEST.parse().unwrap(),
        is_alone: false,
    };
    let mut pins = Pins { known: (0..many - 1).map(pin).collect(), ..Pins::default() };
    assert!(pins.find(&Mention::parse("r.io/shop/x29999:1").unwrap()).is_err());
    // What comes later is found, too.
    pins.known.push(pin(many - 1));
    let lines: String = (0..many).map(|number| format!("  - image: r.io/shop/x{number}:1\n")).collect();
    let text = format!("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n{lines}");
    let found = Manifest::parse("pod.yaml", &text).unwrap().pinned(&pins, Tags::Kept).unwrap();
    assert_eq!((found.changes.len(), found.left.len()), (many, 0));
}
